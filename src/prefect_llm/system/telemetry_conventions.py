"""What OpenTelemetry's conventions for generative AI call a provider, a request and its usage.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from prefect_llm.values.errors import RequestError
    from prefect_llm.values.outcome import Completion
    from prefect_llm.values.request import Request

DURATION_BOUNDARIES_S = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
TOKEN_BOUNDARIES = [4**power for power in range(14)]
"""Both as the conventions advise."""
WELL_KNOWN = {
    "api.anthropic.com": "anthropic",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.openai.com": "openai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
    "generativelanguage.googleapis.com": "gcp.gemini",
}
WELL_KNOWN_PATTERNS = {
    "*.api.openai.com": "openai",
    "*.openai.azure.com": "azure.ai.openai",
    "*aiplatform.googleapis.com": "gcp.vertex_ai",
    "bedrock-runtime.*.amazonaws.com": "aws.bedrock",
}
"""The conventions' values of `gen_ai.provider.name` by host; any other provider goes by its host.

https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
"""
Attributes = dict[str, str | int | float | list[str]]
_Value = TypeVar("_Value", int, float)


@dataclass(frozen=True, slots=True)
class RequestAttempt:
    """One request that has ended: its `number` for its document, from 1, how long it took, and its result.

    `operation` is the conventions' word for what was asked; `trace` is what `here` returned when it was submitted.
    """

    operation: str
    request: Request
    number: int
    seconds: float
    end: Completion | RequestError
    trace: Context | None = None


def provider_name(host: str) -> str:
    """The conventions' name of the provider at that host, if they have one; else the host."""
    patterns = (name for pattern, name in WELL_KNOWN_PATTERNS.items() if fnmatch.fnmatchcase(host, pattern))
    return WELL_KNOWN.get(host) or next(patterns, host)


def endpoint(base_url: str) -> Mapping[str, str | int]:
    """Provider, host and port; the port is the scheme's default if none is given."""
    parts = urlsplit(base_url)
    host = parts.hostname or base_url
    port = parts.port or (80 if parts.scheme == "http" else 443)
    return {"gen_ai.provider.name": provider_name(host), "server.address": host, "server.port": port}


def metric_attributes(attempt: RequestAttempt) -> Attributes:
    """What metrics and spans have in common, beside the endpoint."""
    attributes: Attributes = {
        "gen_ai.operation.name": attempt.operation,
        "gen_ai.request.model": attempt.request.parameters.model,
    }
    if isinstance(attempt.end, Exception):
        attributes["error.type"] = str(attempt.end.kind)
    elif attempt.end.model:
        attributes["gen_ai.response.model"] = attempt.end.model
    return attributes


def counted_tokens(attempt: RequestAttempt) -> Mapping[str, int]:
    """The tokens of its answer by `gen_ai.token.type`, as far as they are known."""
    completion = _completion(attempt)
    usage = completion.usage if completion is not None else None
    if usage is None:
        return {}
    return _known({"input": usage.input_tokens, "output": usage.output_tokens})


def span_details(attempt: RequestAttempt) -> Attributes:
    """What a span has beyond a metric's attributes by the conventions, as far as it is known."""
    parameters, completion = attempt.request.parameters, _completion(attempt)
    asked = {"request.max_tokens": parameters.max_output_tokens, "request.temperature": parameters.temperature}
    details: Attributes = {f"gen_ai.{name}": value for name, value in _known(asked).items()}
    if completion is not None and completion.finish_reason is not None:
        details["gen_ai.response.finish_reasons"] = [completion.finish_reason]
    if completion is not None and (usage := completion.usage) is not None:
        counted = {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cache_read.input_tokens": usage.cached_input_tokens,
            "cache_creation.input_tokens": usage.cache_write_tokens,
            "reasoning.output_tokens": usage.reasoning_tokens,
        }
        details.update({f"gen_ai.usage.{name}": tokens for name, tokens in _known(counted).items()})

    return details


def _completion(attempt: RequestAttempt) -> Completion | None:
    return attempt.end.completion if isinstance(attempt.end, Exception) else attempt.end


def _known(values: Mapping[str, _Value | None]) -> dict[str, _Value]:
    return {name: value for name, value in values.items() if value is not None}
