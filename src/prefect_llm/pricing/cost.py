"""What one request costs, in Decimal: a figure that is not known is `None`, never 0.

The arithmetic has a decimal context of its own, so that a caller's precision or rounding changes no bill.
"""

from __future__ import annotations

from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)
from typing import TypeGuard

from prefect_llm.records import MOST_TOKENS, Price, Provider, Usage

ANY_MODEL = "*"
"""The entry of `Provider.prices` for every model without one of its own."""
COST_STEP = Decimal("1E-12")
"""The column `cost` is decimal128(38, 12)."""
_PER_MILLION = -6
MONEY = Context(
    prec=38,
    rounding=ROUND_HALF_EVEN,
    Emin=-999999,
    Emax=999999,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[InvalidOperation, DivisionByZero, Overflow],
)


def price_for(provider: Provider, model: str) -> Price | None:
    """The model's own price, else the one stated for every model, else none."""
    price = provider.prices.get(model)
    return provider.prices.get(ANY_MODEL) if price is None else price


def cost(usage: Usage | None, price: Price | None) -> Decimal | None:
    """Money for one billed answer, rounded half-even to 12 decimals once.

    `None` where the price, the input tokens or the output tokens are not known. Cached tokens are part of the
    input and reasoning tokens part of the output: neither is counted twice, and an endpoint that reports more
    cached tokens than input tokens is billed for no more than the input.
    """
    if usage is None or price is None:
        return None
    if not _is_count(usage.input_tokens) or not _is_count(usage.output_tokens):
        return None
    cached = min(max(usage.cached_input_tokens or 0, 0), usage.input_tokens)
    cached_price = price.input if price.cached_input is None else price.cached_input
    total = MONEY.multiply(usage.input_tokens - cached, price.input)
    if cached:
        total = MONEY.add(total, MONEY.multiply(cached, cached_price))
    total = MONEY.add(total, MONEY.multiply(usage.output_tokens, price.output))
    return MONEY.quantize(MONEY.scaleb(total, _PER_MILLION), COST_STEP)


def _is_count(tokens: int | None) -> TypeGuard[int]:
    return tokens is not None and 0 <= tokens <= MOST_TOKENS
