"""What OpenAI's operations share, and the endpoints that imitate them: key, rates, list of models.

https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

import orjson

from prefect_llm.values.provider import Provider
from prefect_llm.wire.rate_headers import (
    ANTHROPIC_SPELLING,
    CEREBRAS_SPELLING,
    LITELLM_SPELLING,
    OPENAI_SPELLING,
    OPENROUTER_SPELLING,
    RateHeaders,
)

RATE_HEADERS = RateHeaders(
    OPENAI_SPELLING, ANTHROPIC_SPELLING, OPENROUTER_SPELLING, CEREBRAS_SPELLING, LITELLM_SPELLING
)
"""All spellings, since gateways pass on the headers of the API behind them."""


def bearer(provider: Provider) -> dict[str, str]:
    """The key as a bearer token; no header without one."""
    return {"authorization": f"Bearer {provider.api_key}"} if provider.api_key else {}


def model_names(body: bytes) -> list[str] | None:
    """The ids in a list of models; `None` if the body is not one."""
    try:
        listed = orjson.loads(body)["data"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    if not isinstance(listed, list):
        return None
    names = (model.get("id") for model in listed if isinstance(model, dict))
    return [name for name in names if isinstance(name, str)]
