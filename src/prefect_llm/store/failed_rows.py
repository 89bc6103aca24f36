"""A part whose failed rows are asked again: which they are, and the part with new ones in their places."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal

import pyarrow as pa

from prefect_llm.store.figures import ChunkStats, Discarded
from prefect_llm.values.money import add_money
from prefect_llm.values.outcome import ErrorKind

FAILED_BY = ("status", "error_kind")
_TOKENS = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens")
_CHARGED = (*_TOKENS, "cost", "attempts")


def failed_rows(part: pa.Table, kinds: Collection[ErrorKind] | None = None) -> list[int]:
    """The places of the part's failed rows of these kinds (`None`: of all); it has the columns `FAILED_BY`."""
    statuses, words = (part[name].to_pylist() for name in FAILED_BY)
    return [
        place
        for place, (status, kind) in enumerate(zip(statuses, words, strict=True))
        if status == "failed" and (kinds is None or kind in kinds)
    ]


def replaced(part: pa.Table, rows: pa.Table, places: Sequence[int]) -> pa.Table:
    """The part with `rows`, in their order, in those places."""
    order = list(range(part.num_rows))
    for new, place in enumerate(places):
        order[place] = part.num_rows + new
    return pa.concat_tables([part.replace_schema_metadata(None), rows.replace_schema_metadata(None)]).take(order)


def discarded_rows(part: pa.Table, places: Sequence[int]) -> ChunkStats:
    """What the rows in those places were billed: with new rows in them it stays part of the chunk's figures."""
    charged = part.select(_CHARGED).take(places).to_pylist()
    billed = [row for row in charged if any(row[name] for name in _TOKENS)]
    cost: Decimal | None = Decimal(0)
    for row in billed:
        cost = add_money(cost, row["cost"])
    tokens = {name: sum(row[name] or 0 for row in billed) for name in _TOKENS}
    return ChunkStats(discarded=Discarded(attempts=len(billed), cost=cost, **tokens))
