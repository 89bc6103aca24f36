"""Where buying answers and running machines cost the same, and when machines have paid for themselves."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from prefect_llm.hosting.api_costs import MILLION
from prefect_llm.hosting.spans import Span


@dataclass(frozen=True, slots=True)
class Payback:
    """Months until savings equal the purchase, from the best case to the worst; `None`: never."""

    soonest: Decimal | None
    latest: Decimal | None


def break_even(own_monthly: Span, per_million_tokens: Decimal) -> Span | None:
    """Tokens a month at which the API costs as much as those machines; `None`: at no volume (it is free)."""
    return None if not per_million_tokens else own_monthly.over(per_million_tokens).times(MILLION)


def payback(api_monthly: Decimal, running: Span, purchase: Span | None) -> Payback | None:
    """From what the API would have cost; `None` where nothing is bought."""
    if purchase is None:
        return None
    return Payback(
        _months(purchase.low, api_monthly - running.low), _months(purchase.high, api_monthly - running.high)
    )


def return_on_investment(
    api_monthly: Decimal, running: Span, purchase: Span | None, months: Decimal
) -> tuple[Decimal, Decimal] | None:
    """Savings over the months less the purchase, over the purchase: worst and best case, as shares."""
    if purchase is None or not purchase.low:
        return None
    returns = [
        (api_monthly - cost) * months / bought - 1
        for cost in (running.low, running.high)
        for bought in (purchase.low, purchase.high)
    ]
    return min(returns), max(returns)


def _months(purchase: Decimal, saved: Decimal) -> Decimal | None:
    return purchase / saved if saved > 0 else None
