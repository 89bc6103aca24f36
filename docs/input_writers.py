"""Puts what becomes of each library's values into docs/input.md: `python docs/input_writers.py`.

Each library writes its own Parquet file, which is staged and read back as a run does it. A test keeps page and code
in step.
"""

from __future__ import annotations

import datetime as dt
import json
import tempfile
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features, List, Value, disable_progress_bars

from prefect_llm.documents import Snapshot, Staging, open_source, read_chunk, stage
from prefect_llm.prompts import Prompt, PromptSpec
from prefect_llm.system.folders import open_folder
from prefect_llm.values.errors import BadDocument, InvalidInput

PAGE = Path(__file__).with_name("input.md")
START, END = "<!-- made by docs/input_writers.py -->\n", "<!-- end of writers -->"

DAY, CLOCK, HOUR, MONEY = dt.date(2026, 1, 2), dt.time(9, 30), dt.timedelta(hours=1), Decimal("1.25")
INSTANT = dt.datetime(2026, 1, 2, 3, 4, 5)
EARLY = dt.datetime(1500, 1, 1)
HERE = INSTANT.replace(tzinfo=dt.UTC)
UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
SQL = "timestamp '2026-01-02 03:04:05'"
LONG = {"a": 7, "b": "x"}


def written_by_pandas(values: Any, path: Path) -> None:
    """A series."""
    pd.DataFrame({"x": values}).to_parquet(path)


def written_by_polars(values: Any, path: Path) -> None:
    """A series."""
    pl.DataFrame({"x": values}).write_parquet(path)


def written_by_duckdb(value: Any, path: Path) -> None:
    """An expression of SQL."""
    duckdb.connect().execute(f"copy (select {value} as x union all select null) to '{path}'")


def written_by_datasets(values: Any, path: Path) -> None:
    """A feature and a value of it."""
    feature, value = values
    Dataset.from_dict({"x": [value, None]}, features=Features({"x": feature})).to_parquet(path)


def written_like_spark(values: Any, path: Path) -> None:
    """An array. Spark writes instants as INT96, and its own schema in place of Arrow's."""
    schema = pa.schema([pa.field("x", values.type)], {"org.apache.spark.version": "4.0.0"})
    table = pa.table([values], schema=schema)
    pq.write_table(table, path, store_schema=False, use_deprecated_int96_timestamps=True)


WRITERS: dict[str, Callable[[Any, Path], None]] = {
    "pandas": written_by_pandas,
    "Polars": written_by_polars,
    "DuckDB": written_by_duckdb,
    "datasets": written_by_datasets,
    "Spark": written_like_spark,
}


def values_of_all() -> dict[str, dict[str, Any]]:
    """Each kind of value, as each library has it: one and a null."""
    return {
        "text": _each("ä", pl.String, "'ä'", "string", pa.string()),
        "category": {
            "pandas": pd.Categorical(["a", None]),
            "Polars": pl.Series(["a", None], dtype=pl.Categorical),
            "DuckDB": "'a'::enum('a', 'b')",
            "datasets": (ClassLabel(names=["a", "b"]), "a"),
        },
        "bool": _each(True, pl.Boolean, "true", "bool", pa.bool_()),
        "integer": {
            **_each(7, pl.Int64, "7::bigint", "int64", pa.int64()),
            "pandas": pd.array([7, None], "Int64"),
        },
        "integer, without a nullable type": {"pandas": [7, None]},
        "integer of 128 bits": {"Polars": pl.Series([7, None], dtype=pl.Int128), "DuckDB": "7::hugeint"},
        "double": _each(1.5, pl.Float64, "1.5::double", "float64", pa.float64()),
        "decimal": _each(MONEY, pl.Decimal(5, 2), "1.25::decimal(5, 2)", "decimal128(5, 2)", pa.decimal128(5, 2)),
        "day": _each(DAY, pl.Date, "date '2026-01-02'", "date32", pa.date32()),
        "instant": _each(INSTANT, pl.Datetime("us"), SQL, "timestamp[us]", pa.timestamp("us")),
        "instant of the year 1500": _each(
            EARLY, pl.Datetime("us"), "timestamp '1500-01-01'", "timestamp[us]", pa.timestamp("us")
        ),
        "instant with a zone": {
            "pandas": pd.Series([HERE, None]).dt.tz_convert("Europe/Berlin"),
            "Polars": pl.Series([HERE, None], dtype=pl.Datetime("us", "Europe/Berlin")),
            "DuckDB": "timestamptz '2026-01-02 03:04:05+00'",
            "datasets": (Value("timestamp[us, tz=Europe/Berlin]"), HERE),
        },
        "time of day": _each(CLOCK, pl.Time, "time '09:30'", "time64[us]", None),
        "duration": _each(HOUR, pl.Duration("us"), "interval 1 hour", "duration[us]", None),
        "period": {"pandas": pd.Series([pd.Period("2026-01", "M"), None], dtype="period[M]")},
        "UUID": {"pandas": [UUID, None], "DuckDB": f"'{UUID}'::uuid"},
        "JSON": {"DuckDB": "'{\"a\": 7}'::json"},
        "bytes": _each(b"ab", pl.Binary, "'ab'::blob", "binary", pa.binary()),
        "list": {
            **_each([7, 8], pl.List(pl.Int64), "[7, 8]", "int64", pa.list_(pa.int64())),
            "datasets": (List(Value("int64")), [7, 8]),
        },
        "array of fixed size": {
            "Polars": pl.Series([[7, 8], None], dtype=pl.Array(pl.Int64, 2)),
            "DuckDB": "[7, 8]::integer[2]",
            "datasets": (List(Value("int64"), length=2), [7, 8]),
        },
        "struct": {
            "pandas": [LONG, None],
            "Polars": pl.Series([LONG, None]),
            "DuckDB": "{'a': 7, 'b': 'x'}",
            "datasets": ({"a": Value("int64"), "b": Value("string")}, LONG),
            "Spark": pa.array([LONG, None]),
        },
        "map": {
            "DuckDB": "map {'a': 7}",
            "Spark": pa.array([[("a", 7)], None], pa.map_(pa.string(), pa.int64())),
        },
        "nothing but nulls": {
            "pandas": [None, None],
            "Polars": pl.Series([None, None]),
            "DuckDB": "null",
            "datasets": (Value("null"), None),
        },
    }


def _each(value: Any, polars: Any, sql: str, feature: str, spark: pa.DataType | None) -> dict[str, Any]:
    values = [value, None]
    found = {
        "pandas": values,
        "Polars": pl.Series(values, dtype=polars),
        "DuckDB": sql,
        "datasets": (Value(feature), value),
    }
    return found if spark is None else {**found, "Spark": pa.array(values, spark)}


def with_table(page: str) -> str:
    """The page with the table of all values and writers."""
    before, rest = page.split(START)
    _, after = rest.split(END)
    disable_progress_bars()
    rows = "\n".join(row for value, written in values_of_all().items() for row in _rows(value, written))
    head = "| Value | Written by | A prompt sees | Results hold |\n| --- | --- | --- | --- |"
    return f"{before}{START}\n{head}\n{rows}\n\n{END}{after}"


def _rows(value: str, written: dict[str, Any]) -> list[str]:
    """One row for all writers of whose files the same becomes."""
    writers: dict[tuple[str, str], list[str]] = {}
    for writer in WRITERS:
        if writer in written:
            writers.setdefault(outcome(writer, written[writer]), []).append(writer)
    return [f"| {value} | {', '.join(by)} | {seen} | {held} |" for (seen, held), by in writers.items()]


def outcome(writer: str, values: Any) -> tuple[str, str]:
    """What a prompt sees of a column of the writer's, and what the results hold of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.parquet")
        WRITERS[writer](values, path)
        try:
            cell, _ = _staged(path, needed=frozenset({"x"}), wanted=frozenset({"x"}), keep="none")
            prompt = Prompt(PromptSpec(model="m", template="{{ x }}"))
            seen = f"`{prompt.request(0, '0', cell).messages[0]['content']}`"
        except InvalidInput:
            seen = "refused"
        except BadDocument:
            seen = "null, which fails the row"
        try:
            kept, as_json = _staged(path, keep="all")
        except InvalidInput:
            return seen, "refused"
        return seen, f"JSON text `{kept[0].as_py()}`" if as_json else f"`{kept.type}`"


def _staged(path: Path, **staging: Any) -> tuple[Any, Any]:
    """The first document's fields, or with `keep` the kept column and whether it is JSON text."""
    with tempfile.TemporaryDirectory() as run_folder:
        run = open_folder(run_folder)
        written = stage(open_source(path), Staging(**staging), run)
        chunk = read_chunk(run, Snapshot.from_json(json.loads(json.dumps(written.to_json()))), 0)
        if staging["keep"] == "none":
            return chunk.fields(0), None
        return chunk.kept.column("x"), written.kept[0].as_json


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
