"""What OpenAI's operations share, and the endpoints that imitate them: key, error words, rates, list of models.

https://platform.openai.com/docs/api-reference, https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import orjson

from prefect_llm.values.errors import Cause
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.provider import Provider
from prefect_llm.wire.error_bodies import ErrorWords
from prefect_llm.wire.rate_headers import ANTHROPIC_SPELLING, OPENAI_SPELLING, RateHeaders

_KINDS = {
    "context_length_exceeded": ErrorKind.CONTEXT_TOO_LONG,  # OpenAI, vLLM
    "exceed_context_size_error": ErrorKind.CONTEXT_TOO_LONG,  # llama.cpp
    "content_filter": ErrorKind.CONTENT_FILTERED,  # Azure
    "content_policy_violation": ErrorKind.CONTENT_FILTERED,  # OpenAI
}
_CAUSES = {
    "insufficient_quota": Cause.ACCOUNT_EXHAUSTED,
    "model_not_found": Cause.MODEL_NOT_FOUND,  # OpenAI
    "NotFoundError": Cause.MODEL_NOT_FOUND,  # vLLM
    "not_found_error": Cause.MODEL_NOT_FOUND,  # Anthropic's and Ollama's compatible endpoints
}
_STATUSES = {
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "rate_limit": 429,
    "model_not_found": 404,
    "NotFoundError": 404,
    "not_found_error": 404,
    "invalid_request_error": 400,
    **dict.fromkeys(_KINDS, 400),
}

ERROR_WORDS = ErrorWords(kinds=_KINDS, causes=_CAUSES, statuses=_STATUSES)
RATE_HEADERS = RateHeaders(OPENAI_SPELLING, ANTHROPIC_SPELLING)
"""Gateways pass the headers of the API behind them through."""


def bearer(provider: Provider) -> dict[str, str]:
    """The key as a bearer token; no header without one."""
    return {"authorization": f"Bearer {provider.api_key}"} if provider.api_key else {}


def model_names(body: bytes) -> list[str] | None:
    """The ids in a list of models; `None` where the body is none."""
    try:
        listed = orjson.loads(body)["data"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    if not isinstance(listed, list):
        return None
    names = (model.get("id") for model in listed if isinstance(model, dict))
    return [name for name in names if isinstance(name, str)]
