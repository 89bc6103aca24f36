"""An entry of `genai-prices` as a `Price`, where that can say all that is billed."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from prefect_llm.values.price import Price, PriceTier

if TYPE_CHECKING:
    from genai_prices import types

# Free unless a request asks for it; an answer whose usage counts it is not priced by the list.
_OTHER_UNITS = frozenset({"storage_searches_kcount", "cache_write_1h_mtok"})
_SEARCHES = "web_searches_kcount"
_TOKENS = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
_MODALITIES = re.compile(r"(input|output|cache)_(audio|image|video)_(read_)?mtok")


def converted(prices: types.ModelPrice, source: str, day: str | None) -> Price | None:
    """The list's price as ours; `None` if ours cannot express it: no cost is better than a wrong one."""
    given = {name: value for name, value in vars(prices).items() if value is not None}
    if given.get("output_reasoning_mtok") == given.get("output_mtok"):
        given.pop("output_reasoning_mtok", None)
    if "input_mtok" not in given or "output_mtok" not in given or any(not _is_covered(name) for name in given):
        return None

    base = _tier(given, -1)
    starts = sorted({tier.start for value in given.values() for tier in getattr(value, "tiers", ())})
    return Price(
        input=base.input,
        output=base.output,
        cached_input=base.cached_input,
        cache_write=base.cache_write,
        source=source,
        date=day,
        tiers=tuple(_tier(given, start) for start in starts),
        search=_scaled(given.get(_SEARCHES)),
    )


def _scaled(per_thousand: Decimal | types.TieredPrices | None) -> Decimal | None:
    return per_thousand.scaleb(-3) if isinstance(per_thousand, Decimal) else None


def _is_covered(name: str) -> bool:
    """Whether our usage reports how much of it was used, or requests of text alone use none."""
    return name in (*_TOKENS, _SEARCHES) or name in _OTHER_UNITS or _MODALITIES.fullmatch(name) is not None


def _tier(given: dict[str, Decimal | types.TieredPrices], above: int) -> PriceTier:
    """The prices of a request with one input token more than that."""

    def price(name: str) -> Decimal:
        value = given[name]
        if isinstance(value, Decimal):
            return value
        return next((tier.price for tier in reversed(value.tiers) if above >= tier.start), value.base)

    return PriceTier(
        above=above,
        input=price("input_mtok"),
        output=price("output_mtok"),
        cached_input=price("cache_read_mtok") if "cache_read_mtok" in given else None,
        cache_write=price("cache_write_mtok") if "cache_write_mtok" in given else None,
    )
