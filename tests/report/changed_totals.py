"""Totals with other figures, for tests of what is said of them."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from prefect_llm.report.figures.totals import RowPrices, Totals
from prefect_llm.values.tally import Tally, TokenTally


def changed_totals(totals: Totals, **changes: Any) -> Totals:
    """The totals with these figures: their own, or the tally's, tokens' or prices'. Unknown costs follow."""
    tokens = {each.name: changes.pop(each.name) for each in fields(TokenTally) if each.name in changes}
    of_tally = {each.name: changes.pop(each.name) for each in fields(Tally) if each.name in changes}
    of_prices = {each.name: changes.pop(each.name) for each in fields(RowPrices) if each.name in changes}
    changed = replace(totals, prices=replace(totals.prices, **of_prices), **changes)
    unknown = changed.prices.unpriced + changed.prices.unmetered + (changed.chunk_stats.discarded.cost is None)
    return replace(
        changed,
        tally=replace(changed.tally, tokens=replace(changed.tokens, **tokens), **of_tally, unknown_costs=unknown),
    )
