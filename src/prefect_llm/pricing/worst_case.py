"""The most that a request can cost, before it is sent: what a budget reserves for it (docs/contract.md, Budget)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

import orjson

from prefect_llm.pricing.cost import COST_STEP
from prefect_llm.values.errors import BadDocument
from prefect_llm.values.money import MONEY, ZERO
from prefect_llm.values.price import Price
from prefect_llm.values.request import Parameters, Request

TOKENS_PER_MESSAGE = 16
"""Room for what a chat template puts around each message."""
_FOR_AN_HOUR = b'"ttl":"1h"'
"""As JSON has it; in a text the quotes would be escaped."""


def worst_case(request: Request, prices: Iterable[Price | None], searches: int = 0) -> Decimal:
    """The cost of the whole input, the whole output limit and the searches, at the highest of the prices.

    No token is shorter than a byte: (UTF-8 bytes of all message text + 16 per message + bytes of schema and other
    parameters) bound the input. Raises `BadDocument` if nothing bounds the cost: no output limit, an unknown price,
    or a message with parts other than text.
    """
    limit = request.parameters.max_output_tokens
    if limit is None:
        raise BadDocument("a budget needs an output limit: give max_output_tokens")
    tokens = most_input_tokens(request)
    return max(_cost(tokens, limit, searches, price, request.parameters.model) for price in prices)


def most_input_tokens(request: Request) -> int:
    """An upper bound of the input tokens, for any tokenizer."""
    messages = sum(_message_bytes(message) + TOKENS_PER_MESSAGE for message in request.messages)
    return messages + request.parameters.derived(_parameter_bytes)


def keeps_for_an_hour(request: Request) -> bool:
    """Whether input is to be kept in a cache for an hour (`cache_control` with a `ttl` of `1h`)."""
    return request.parameters.derived(_asks_for_an_hour) or any(map(_is_kept_for_an_hour, request.messages))


def json_bytes(*values: Any) -> int:
    """The total size of these values as JSON; empty ones and `None` are not sent."""
    return sum(len(orjson.dumps(value)) for value in values if value)


def schema_bytes(parameters: Parameters) -> int:
    """The size of the answer schema, in the longest form in which it may be sent; 0 without one."""
    answer_format = parameters.answer_format
    return 0 if answer_format is None else max(map(json_bytes, answer_format.forms))


def _cost(input_tokens: int, output_tokens: int, searches: int, price: Price | None, model: str) -> Decimal:
    if price is None:
        raise BadDocument(
            f"a budget needs a known price, and the price of {model!r} is not known: give the provider one"
        )
    if price.per_hour is not None:
        raise BadDocument(f"a budget needs a price per token, and {model!r} is paid by the hour: run it without")
    input_price = price.input if price.cached_input is None else max(price.input, price.cached_input)
    tokens = MONEY.fma(input_tokens, input_price, MONEY.multiply(output_tokens, price.output))
    total = MONEY.fma(searches, price.search or ZERO, MONEY.scaleb(tokens, -6))
    # upwards, where a bill is rounded half-even: what is reserved covers it
    return total.quantize(COST_STEP, ROUND_CEILING, MONEY)


def _message_bytes(message: Mapping[str, Any]) -> int:
    content = message.get("content")
    if isinstance(content, str):
        # a name, say, is read too; the usual message has none and is spared the encoding
        rest = len(message) - ("role" in message) - 1
        return len(content.encode()) + (len(orjson.dumps(dict(message))) if rest else 0)
    if isinstance(content, list) and any(part.get("type") != "text" for part in content if isinstance(part, dict)):
        raise BadDocument("a budget bounds text only, and a message has other parts: run it without max_cost")
    return len(orjson.dumps(dict(message)))


def _parameter_bytes(parameters: Parameters) -> int:
    """Schema and all other parameters: which of them the model reads is not known."""
    return schema_bytes(parameters) + json_bytes(dict(parameters.extra))


def _asks_for_an_hour(parameters: Parameters) -> bool:
    return _FOR_AN_HOUR in orjson.dumps(dict(parameters.extra))


def _is_kept_for_an_hour(message: Mapping[str, Any]) -> bool:
    # the usual message, a role and a text, is spared the encoding
    if len(message) == 2 and isinstance(message.get("content"), str):
        return False
    return _FOR_AN_HOUR in orjson.dumps(dict(message))
