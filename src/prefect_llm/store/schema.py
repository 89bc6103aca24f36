"""The columns of a result row: other programs rely on their names, order and types (docs/contract.md, Rows).

All parts of a run have the same columns, so that `results/` can be read as a whole at any time. A run therefore keeps
the columns of the version that began it.
"""

from __future__ import annotations

from collections.abc import Set

import pyarrow as pa

COST = pa.decimal128(38, 12)
INSTANT = pa.timestamp("us", tz="UTC")
OUTPUT = "output"
RAW = "raw"
REASONING = "reasoning"

_TYPES: dict[str, pa.DataType | None] = {
    "id": pa.string(),
    "fingerprint": pa.string(),
    "status": pa.string(),
    "run_id": pa.string(),
    "content": pa.string(),
    OUTPUT: None,  # what the answer's JSON schema says
    REASONING: pa.string(),
    "finish_reason": pa.string(),
    "requested_model": pa.string(),
    "model": pa.string(),
    "provider": pa.string(),
    "lane": pa.string(),
    "input_tokens": pa.int64(),
    "cached_input_tokens": pa.int64(),
    "cache_write_tokens": pa.int64(),
    "output_tokens": pa.int64(),
    "reasoning_tokens": pa.int64(),
    "cost": COST,
    "currency": pa.string(),
    "price_source": pa.string(),
    "reused": pa.bool_(),
    "attempts": pa.int32(),
    "latency_ms": pa.float64(),
    "queued_ms": pa.float64(),
    "started_at": INSTANT,
    "finished_at": INSTANT,
    "error_kind": pa.string(),
    "error_status": pa.int32(),
    "error_message": pa.string(),
    RAW: pa.string(),
}
_REQUIRED = frozenset({"id", "status", "run_id"})
_ADDED = ("cache_write_tokens",)
"""Columns added after 0.1.0: parts of runs that 0.1.0 began lack them."""
_LAST_OF_EVERY_VERSION = "error_message"

RESULT_COLUMNS: tuple[str, ...] = tuple(_TYPES)
"""Every name a result row may use, `output`, `reasoning` and `raw` included."""


def reserved_columns(*, keep_reasoning: bool) -> tuple[str, ...]:
    """The names that no kept input column may have; `reasoning` is one only where the column is asked for."""
    return RESULT_COLUMNS if keep_reasoning else tuple(name for name in RESULT_COLUMNS if name != REASONING)


def result_schema(
    *,
    kept: pa.Schema,
    output_type: pa.DataType | None,
    keep_raw: bool,
    keep_reasoning: bool = False,
    lacking: Set[str] = frozenset(),
) -> pa.Schema:
    """The schema of every part of a run: the result columns, without those `lacking`, then the kept input columns.

    No kept column has the name of a result column; their fields lose their metadata and become nullable.
    """
    fields = []
    unasked = {name for name, asked in ((RAW, keep_raw), (REASONING, keep_reasoning)) if not asked}
    for name, fixed_type in _TYPES.items():
        column_type = output_type if name == OUTPUT else fixed_type
        if column_type is None or name in unasked or name in lacking:
            continue
        fields.append(pa.field(name, column_type, nullable=name not in _REQUIRED))
    return pa.schema([*fields, *(pa.field(field.name, field.type) for field in kept)])


def lacking_columns(schema: pa.Schema) -> frozenset[str]:
    """The result columns that a part with this schema lacks, because an earlier version began its run.

    A kept input column may bear such a name; it does not count, since kept columns follow the result columns.
    """
    names = schema.names
    end = names.index(_LAST_OF_EVERY_VERSION) if _LAST_OF_EVERY_VERSION in names else len(names)
    return frozenset(_ADDED).difference(names[:end])


def with_lacking_columns(schema: pa.Schema) -> pa.Schema:
    """The schema of an earlier version's part plus the columns added since, in today's order.

    A column whose name a kept input column bears is left out.
    """
    for name in _ADDED:
        if name not in schema.names:
            before = RESULT_COLUMNS[RESULT_COLUMNS.index(name) - 1]
            schema = schema.insert(schema.get_field_index(before) + 1, pa.field(name, _TYPES[name]))
    return schema


def add_lacking_columns(table: pa.Table, names: Set[str]) -> pa.Table:
    """The table with these result columns, all null."""
    for name in names:
        table = table.append_column(pa.field(name, _TYPES[name]), pa.nulls(table.num_rows, _TYPES[name]))
    return table
