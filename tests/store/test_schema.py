from __future__ import annotations

import pyarrow as pa

from prefect_llm.store.schema import RESULT_COLUMNS, reserved_columns, result_schema

OUTPUT = pa.struct([("label", pa.string()), ("scores", pa.list_(pa.float64()))])

# As docs/contract.md, Rows: name, type, may be null.
COLUMNS = [
    ("id", pa.string(), False),
    ("fingerprint", pa.string(), True),
    ("status", pa.string(), False),
    ("run_id", pa.string(), False),
    ("content", pa.string(), True),
    ("output", OUTPUT, True),
    ("reasoning", pa.string(), True),
    ("finish_reason", pa.string(), True),
    ("requested_model", pa.string(), True),
    ("model", pa.string(), True),
    ("provider", pa.string(), True),
    ("lane", pa.string(), True),
    ("input_tokens", pa.int64(), True),
    ("cached_input_tokens", pa.int64(), True),
    ("cache_write_tokens", pa.int64(), True),
    ("output_tokens", pa.int64(), True),
    ("reasoning_tokens", pa.int64(), True),
    ("cost", pa.decimal128(38, 12), True),
    ("currency", pa.string(), True),
    ("price_source", pa.string(), True),
    ("reused", pa.bool_(), True),
    ("attempts", pa.int32(), True),
    ("latency_ms", pa.float64(), True),
    ("queued_ms", pa.float64(), True),
    ("started_at", pa.timestamp("us", "UTC"), True),
    ("finished_at", pa.timestamp("us", "UTC"), True),
    ("error_kind", pa.string(), True),
    ("error_status", pa.int32(), True),
    ("error_message", pa.string(), True),
    ("raw", pa.string(), True),
]


def _fields(schema: pa.Schema) -> list[tuple[str, pa.DataType, bool]]:
    return [(field.name, field.type, field.nullable) for field in schema]


def test_the_columns_are_those_of_the_contract_in_its_order() -> None:
    schema = result_schema(kept=pa.schema([]), output_type=OUTPUT, keep_raw=True, keep_reasoning=True)
    assert _fields(schema) == COLUMNS


def test_output_reasoning_and_raw_are_there_only_when_asked_for() -> None:
    schema = result_schema(kept=pa.schema([]), output_type=None, keep_raw=False)
    assert _fields(schema) == [field for field in COLUMNS if field[0] not in ("output", "reasoning", "raw")]


def test_every_name_a_kept_column_must_avoid_is_listed() -> None:
    assert [name for name, _, _ in COLUMNS] == list(RESULT_COLUMNS)


def test_reasoning_is_a_name_like_others_where_it_is_no_column() -> None:
    assert reserved_columns(keep_reasoning=True) == RESULT_COLUMNS
    assert set(RESULT_COLUMNS) - set(reserved_columns(keep_reasoning=False)) == {"reasoning"}


def test_kept_columns_come_last_and_may_be_null_whatever_the_source_said() -> None:
    kept = pa.schema(
        [pa.field("ticket", pa.large_string(), nullable=False, metadata={"PARQUET:field_id": "1"})],
        metadata={"pandas": "{}"},
    )
    schema = result_schema(kept=kept, output_type=None, keep_raw=False)
    assert schema.names[-2:] == ["error_message", "ticket"]
    ticket = schema.field("ticket")
    assert (ticket.type, ticket.nullable, ticket.metadata) == (pa.large_string(), True, None)
    assert schema.metadata is None
