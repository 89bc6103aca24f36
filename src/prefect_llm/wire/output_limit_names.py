"""How OpenAI-compatible endpoints call the output limit, learned per model from what one of them refuses.

Reasoning models take `max_completion_tokens` alone, and say so with a 400 for `max_tokens`; many other servers know
`max_tokens` alone, and ignore what they do not know. So nothing is learned once a model has answered under a name.
https://platform.openai.com/docs/guides/reasoning
"""

from __future__ import annotations

import re

from prefect_llm.values.errors import Rejected, RequestError
from prefect_llm.values.provider import OutputLimitName, Provider
from prefect_llm.values.request import Parameters

OPENAI_HOST = "api.openai.com"
"""Its models take `max_completion_tokens`, all of them."""
OTHER: dict[OutputLimitName, OutputLimitName] = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}
VALUE_CODES = frozenset(
    {
        *("integer_above_max_value", "integer_below_min_value", "invalid_value", "invalid_type"),  # OpenAI
        *(
            "greater_than",
            "greater_than_equal",
            "less_than",
            "less_than_equal",
            "int_type",
            "int_parsing",
        ),  # pydantic
    }
)
"""The codes for a limit that is too large or too small: another name would not mend that."""

_NAMED = re.compile(r"\bmax_(?:completion_)?tokens\b")


class OutputLimitNames:
    """The names for one provider's models."""

    def __init__(self, provider: Provider) -> None:
        self._first = first_name(provider)
        self._is_stated = provider.output_limit_name is not None
        self._learned: dict[str, OutputLimitName] = {}
        self._settled: set[str] = set()

    def of(self, model: str) -> OutputLimitName:
        """What this model's requests call the limit now."""
        return self._learned.get(model, self._first)

    def learns_from(self, parameters: Parameters, error: RequestError) -> bool:
        """Take in a refusal; whether it may have met another name than the model's requests now have."""
        if self._is_stated or parameters.max_output_tokens is None:
            return False
        blamed, model = _blamed(error), parameters.model
        if blamed is None:
            return False
        if blamed == self.of(model) and model not in self._settled:
            if model in self._learned:  # both are refused: back to the first, for good
                self._settled.add(model)
            self._learned[model] = OTHER[blamed]
        return True

    def answered(self, parameters: Parameters) -> None:
        """The model has answered a request with a limit under its present name."""
        if parameters.max_output_tokens is not None:
            self._settled.add(parameters.model)


def first_name(provider: Provider) -> OutputLimitName:
    """What the limit is called until an endpoint teaches otherwise."""
    if provider.output_limit_name is not None:
        return provider.output_limit_name
    return "max_completion_tokens" if provider.name == OPENAI_HOST else "max_tokens"


def _blamed(error: RequestError) -> OutputLimitName | None:
    """The name that a refusal is about: by its parameter, or by a sentence that offers the other one instead."""
    if not isinstance(error, Rejected) or error.status not in (400, 422) or error.code in VALUE_CODES:
        return None
    for name in OTHER:
        if name in error.parameters:
            return name
    named = _NAMED.findall(error.message)
    if len(set(named)) < len(OTHER):
        return None
    return next(name for name in OTHER if name == named[0])
