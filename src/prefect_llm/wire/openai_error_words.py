"""The words by which OpenAI and the endpoints that imitate it say what is wrong: `error.code` or `error.type`.

https://platform.openai.com/docs/guides/error-codes. A new word is a line here.
"""

from __future__ import annotations

from prefect_llm.values.errors import Cause
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.wire.error_bodies import ErrorWords

_KINDS = {
    "context_length_exceeded": ErrorKind.CONTEXT_TOO_LONG,  # OpenAI, vLLM
    "exceed_context_size_error": ErrorKind.CONTEXT_TOO_LONG,  # llama.cpp
    "content_filter": ErrorKind.CONTENT_FILTERED,  # Azure
    "content_policy_violation": ErrorKind.CONTENT_FILTERED,  # OpenAI
    "json_validate_failed": ErrorKind.SCHEMA_MISMATCH,  # Groq
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
