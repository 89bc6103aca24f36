"""Which programs read `results/`, by the type of a kept input column; all of them sum `cost` exactly.

`python benchmarks/readers.py` writes two parts and an empty one for each type. The readers, in versions that need an
older pyarrow than the tests have, are in an environment of their own: `make readers` installs it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]

PYTHON = Path(__file__).resolve().parents[1] / ".venv-bench" / "readers" / "bin" / "python"
COSTS = (Decimal("0.000000000001"), Decimal("0.1"))
CHUNKS = 2


def main() -> None:
    """Write the directories here, read them there, and print a table of both."""
    from tables import Table, heading

    heading("Readers of the results", __doc__)
    with tempfile.TemporaryDirectory() as folder:
        names = {f"{number:02d}": name for number, (name, _) in enumerate(columns())}
        for number, (_, column) in zip(names, columns(), strict=True):
            write(Path(folder, number), column)
        found = subprocess.run([PYTHON, __file__, folder], stdout=subprocess.PIPE, text=True, check=True)

    table = Table("kept input column", *READERS)
    for number, said in json.loads(found.stdout).items():
        table.row(f"`{names[number]}`", *(said[reader] for reader in READERS))


def columns() -> Iterator[tuple[str, Any]]:
    """A pyarrow array of two rows, the second null, for each type."""
    import pyarrow as pa

    clock, instant, money = dt.time(9, 30), dt.datetime(2026, 1, 2, 3), Decimal("1.25")
    values = {
        pa.string(): "ä",
        pa.large_string(): "ä",
        pa.bool_(): True,
        pa.int8(): 1,
        pa.uint32(): 1,
        pa.uint64(): 1,
        pa.float16(): 1.5,
        pa.float64(): 1.5,
        pa.decimal32(5, 2): money,
        pa.decimal64(15, 2): money,
        pa.decimal128(38, 12): money,
        pa.decimal256(20, 2): money,
        pa.decimal256(50, 2): money,
        pa.date32(): dt.date(2026, 1, 2),
        pa.time32("ms"): clock,
        pa.time64("us"): clock,
        pa.time64("ns"): clock,
        pa.timestamp("s"): instant,
        pa.timestamp("us"): instant,
        pa.timestamp("ns"): instant,
        pa.timestamp("us", "UTC"): instant,
        pa.timestamp("us", "Europe/Berlin"): instant,
        pa.timestamp("us", "+02:00"): instant,
        pa.duration("us"): dt.timedelta(1),
        pa.binary(): b"x",
        pa.dictionary(pa.int32(), pa.string()): "group",
        pa.list_(pa.string()): ["x", None],
        pa.list_(pa.int32(), 2): [1, 2],
        pa.list_(pa.decimal256(20, 2)): [money],
        pa.struct({"x": pa.int64()}): {"x": 1},
        pa.struct({"at": pa.time32("ms")}): {"at": clock},
        pa.struct({"a": pa.int64(), "A": pa.int64()}): {"a": 1, "A": 2},
        pa.map_(pa.string(), pa.int64()): [("a", 1)],
    }
    for arrow_type, value in values.items():
        yield str(arrow_type), pa.array([value, None], arrow_type)


def write(folder: Path, column: Any) -> None:
    """A results directory with the column, and what is in it beside it."""
    import pyarrow as pa

    from prefect_llm.documents import Staging, open_source, read_chunk, stage
    from prefect_llm.store import ChunkStats, Manifest, ResultRow, RunDirectory, result_schema, result_table
    from prefect_llm.values.outcome import Completion, Outcome

    directory = RunDirectory.open(str(folder))
    source = open_source(
        pa.table({"value": pa.chunked_array([column] * CHUNKS), "Case": ["x"] * 4, "case": ["y"] * 4})
    )
    snapshot = stage(source, Staging(keep="all", chunk_rows=2), directory.folder)
    schema = result_schema(kept=snapshot.kept_schema, output_type=None, keep_raw=False)
    directory.create(Manifest.new("r", {}, snapshot.to_json()))
    directory.write_schema_part(schema)
    expected: Rows = []
    for chunk in range(CHUNKS):
        staged = read_chunk(directory.folder, snapshot, chunk)
        rows = [
            ResultRow(document, "f", "m", Outcome(Completion("Ja")), cost, None)
            for document, cost in zip(staged.ids, COSTS, strict=True)
        ]
        table = result_table(rows, schema=schema, run_id="r", kept=staged.kept, output=None)
        directory.commit_part(chunk, table, ChunkStats())
        expected += table.to_pylist()
    (folder / "expected").write_bytes(pickle.dumps([plain(row) for row in expected]))


def compare(folder: Path) -> dict[str, dict[str, str]]:
    """For each directory, what each reader made of it: `yes`, or why not."""
    return {
        directory.name: {name: _compared(name, directory) for name in READERS}
        for directory in sorted(folder.iterdir())
    }


def _compared(reader: str, directory: Path) -> str:
    expected: Rows = pickle.loads((directory / "expected").read_bytes())
    try:
        rows = sorted(READERS[reader](directory / "results"), key=lambda row: str(row["id"]))
    except Exception as error:
        print(f"{directory.name}, {reader}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
        return "no"
    if sum(row["cost"] for row in rows) != CHUNKS * sum(COSTS):
        return "wrong sum"
    return "yes" if [plain(row) for row in rows] == expected else "differs"


def plain(value: Any) -> Any:
    """A value without the forms in which readers differ: arrays, maps, zones, numbers that may be null."""
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        pairs = all(isinstance(each, tuple) and len(each) == 2 for each in value)
        return plain(dict(value)) if pairs and value else [plain(each) for each in value]
    if value is None or value != value:
        return None
    if isinstance(value, dt.datetime):
        return str(value.astimezone(dt.UTC) if value.tzinfo else value)
    if isinstance(value, (bool, int, float, Decimal)):
        return Decimal(str(int(value) if isinstance(value, bool) else value))
    return value


def _pyarrow(results: Path) -> Rows:
    from pyarrow.dataset import dataset

    return dataset(results).to_table().to_pylist()  # type: ignore[no-any-return]


def _duckdb(results: Path) -> Rows:
    import duckdb

    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT * FROM '{results}/*.parquet'")
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _polars(results: Path) -> Rows:
    import polars

    return polars.read_parquet(results).to_dicts()


def _pandas(results: Path) -> Rows:
    import pandas  # type: ignore[import-untyped]

    return pandas.read_parquet(results).to_dict("records")  # type: ignore[no-any-return]


def _datasets(results: Path) -> Rows:
    import datasets

    datasets.disable_progress_bars()
    return datasets.load_dataset(str(results), split="train", cache_dir=f"{results}-cache").to_list()  # type: ignore


def _datafusion(results: Path) -> Rows:
    import datafusion

    context = datafusion.SessionContext()
    context.register_parquet("results", str(results))
    return context.sql("SELECT * FROM results").to_pylist()  # type: ignore[no-any-return]


def _daft(results: Path) -> Rows:
    import daft

    return daft.read_parquet(f"{results}/*.parquet").to_pylist()  # type: ignore[no-any-return]


def _deltalake(results: Path) -> Rows:
    import deltalake

    deltalake.convert_to_deltalake(str(results))
    return deltalake.DeltaTable(str(results)).to_pyarrow_table().to_pylist()  # type: ignore[no-any-return]


def _pyiceberg(results: Path) -> Rows:
    import pyarrow.dataset
    from pyiceberg.catalog.sql import SqlCatalog

    warehouse = results.parent / "iceberg"
    warehouse.mkdir()
    catalog = SqlCatalog("catalog", uri=f"sqlite:///{warehouse}/catalog.db", warehouse=f"file://{warehouse}")
    catalog.create_namespace("runs")
    table = catalog.create_table("runs.results", schema=pyarrow.dataset.dataset(results).schema)
    table.add_files(sorted(map(str, results.glob("*.parquet"))))
    return table.scan().to_arrow().to_pylist()  # type: ignore[no-any-return]


READERS: dict[str, Callable[[Path], Rows]] = {
    "pyarrow": _pyarrow,
    "duckdb": _duckdb,
    "polars": _polars,
    "pandas": _pandas,
    "datasets": _datasets,
    "datafusion": _datafusion,
    "daft": _daft,
    "deltalake": _deltalake,
    "pyiceberg": _pyiceberg,
}

if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        os.environ |= {"HF_HUB_OFFLINE": "1", "DAFT_PROGRESS_BAR": "0", "DO_NOT_TRACK": "1"}
        print(json.dumps(compare(Path(sys.argv[1]))))
