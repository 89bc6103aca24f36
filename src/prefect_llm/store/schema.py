"""The columns of a result row: other programs rely on their names, order and types (docs/contract.md, Rows)."""

from __future__ import annotations

import pyarrow as pa

COST = pa.decimal128(38, 12)
INSTANT = pa.timestamp("us", tz="UTC")
OUTPUT = "output"
RAW = "raw"

_TYPES: dict[str, pa.DataType | None] = {
    "id": pa.string(),
    "fingerprint": pa.string(),
    "status": pa.string(),
    "run_id": pa.string(),
    "content": pa.string(),
    OUTPUT: None,  # what the answer's JSON schema says
    "finish_reason": pa.string(),
    "requested_model": pa.string(),
    "model": pa.string(),
    "provider": pa.string(),
    "lane": pa.string(),
    "input_tokens": pa.int64(),
    "cached_input_tokens": pa.int64(),
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

RESULT_COLUMNS: tuple[str, ...] = tuple(_TYPES)
"""Every name a result row may use, `output` and `raw` included: kept input columns need another."""


def result_schema(*, kept: pa.Schema, output_type: pa.DataType | None, keep_raw: bool) -> pa.Schema:
    """The schema of every part of a run: the result columns, then the kept input columns.

    `kept` comes under names that are no result column's; its fields lose their metadata and may be null.
    """
    fields = []
    for name, fixed_type in _TYPES.items():
        column_type = output_type if name == OUTPUT else fixed_type
        if column_type is None or (name == RAW and not keep_raw):
            continue
        fields.append(pa.field(name, column_type, nullable=name not in _REQUIRED))
    return pa.schema([*fields, *(pa.field(field.name, field.type) for field in kept)])
