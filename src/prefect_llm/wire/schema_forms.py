"""In which form an endpoint is sent an answer schema: as it was given, or in the subset of OpenAI's strict mode.

Hosts known to take nothing but that subset get the strict form. All others get the schema as it was given: own
servers enforce by grammar what the subset lacks (`maxLength`, `uniqueItems`). One that refuses it, such as a gateway
before OpenAI, gets the strict form from then on.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from prefect_llm.values.errors import Rejected, RequestError
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Parameters

STRICT_HOSTS = (
    "api.openai.com",
    "*.api.openai.com",  # by region
    "*.openai.azure.com",
    "*.cognitiveservices.azure.com",
    "*.services.ai.azure.com",
    "models.github.ai",
    "openrouter.ai",
    "api.groq.com",
    "api.cerebras.ai",
)
"""platform.openai.com/docs/guides/structured-outputs, console.groq.com/docs/structured-outputs,
inference-docs.cerebras.ai/capabilities/structured-outputs; the others pass schemas on to OpenAI's models."""

_PARAMETER = "response_format"
_NAMED = re.compile(rf"\b{_PARAMETER}\b")


class SchemaForms:
    """The forms for one provider's models."""

    def __init__(self, provider: Provider) -> None:
        self._all_strict = any(fnmatchcase(provider.name, host) for host in STRICT_HOSTS)
        self._learned: set[str] = set()

    def strict(self, model: str) -> bool:
        """Whether this model's requests have the strict form now, where there is one."""
        return self._all_strict or model in self._learned

    def learns_from(self, parameters: Parameters, error: RequestError) -> bool:
        """Take in a refusal; whether it may have met another form than the model's requests now have."""
        answer_format = parameters.answer_format
        if self._all_strict or answer_format is None or answer_format.strict_schema is None:
            return False
        if not _is_about_the_schema(error):
            return False
        self._learned.add(parameters.model)
        return True


def _is_about_the_schema(error: RequestError) -> bool:
    """By its parameter, or by the sentence of a gateway, which passes that on alone."""
    if not isinstance(error, Rejected) or error.status not in (400, 422):
        return False
    return _PARAMETER in error.parameters or _NAMED.search(error.message) is not None
