"""The failed rows of a part: which they are, and the part with new rows in their stead."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pyarrow as pa

from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.store.schema import lacking_columns
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.tally import TOKEN_COLUMNS, Discarded, TokenTally

FAILED_BY = ("status", "error_kind")


def failed_rows(part: pa.Table, kinds: Collection[ErrorKind] | None = None) -> list[int]:
    """The indexes of the part's failed rows of these kinds (`None`: of all); it has the columns `FAILED_BY`."""
    statuses, words = (part[name].to_pylist() for name in FAILED_BY)
    return [
        row_index
        for row_index, (status, kind) in enumerate(zip(statuses, words, strict=True))
        if status == "failed" and (kinds is None or kind in kinds)
    ]


def replaced(part: pa.Table, rows: pa.Table, row_indexes: Sequence[int]) -> pa.Table:
    """The part with the rows at `row_indexes` replaced by `rows`, in order."""
    order = list(range(part.num_rows))
    for new, row_index in enumerate(row_indexes):
        order[row_index] = part.num_rows + new
    return pa.concat_tables([part.replace_schema_metadata(None), rows.replace_schema_metadata(None)]).take(order)


def discarded_rows(part: pa.Table, row_indexes: Sequence[int]) -> ChunkStats:
    """What the rows at `row_indexes` were billed. It stays in the chunk's stats once new rows replace them."""
    counted = [name for name in TOKEN_COLUMNS if name not in lacking_columns(part.schema)]
    discarded = Discarded()
    for row in part.select([*counted, "cost"]).take(row_indexes).to_pylist():
        tokens = TokenTally(**{name: row[name] or 0 for name in counted})
        if tokens != TokenTally():
            discarded += Discarded(1, tokens, row["cost"])
    return ChunkStats(discarded=discarded)
