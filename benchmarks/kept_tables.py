"""Delta and Iceberg tables as the libraries themselves write them, with deleted rows: none is read as loose files.

`python benchmarks/kept_tables.py` asks for each in many ways. The writers are in the environment of `make readers`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

PYTHON = Path(__file__).resolve().parents[1] / ".venv-bench" / "readers" / "bin" / "python"
INPUTS = {
    "delta": "Delta",
    "delta/lang=de": "Delta",
    "delta/*/*.parquet": "Delta",
    "delta/_delta_log": "Delta",
    "warehouse": "Iceberg",
    "warehouse/ns/t": "Iceberg",
    "warehouse/ns/t/data": "Iceberg",
    "warehouse/**/*.parquet": "Iceberg",
}


def main() -> None:
    """Write the tables there, ask for them here, and print who was refused as what."""
    from tables import Table, heading, verdict

    from prefect_llm.documents import open_source
    from prefect_llm.values.errors import InvalidInput

    heading("Tables that a log keeps", __doc__)
    table, read = Table("input", "refused as"), 0
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([PYTHON, __file__, folder], check=True)
        for name, kind in INPUTS.items():
            try:
                open_source(f"{folder}/{name}")
                said = "read"
            except InvalidInput as refusal:
                said = kind if f"{kind} table" in refusal.message else refusal.message
            read += said != kind
            table.row(f"`{name}`", said)
    verdict("inputs that were read, or refused for another reason", read, at_most=0)


def write(folder: str) -> None:
    """A partitioned Delta table and an Iceberg table, each of two writes and a deletion."""
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake
    from pyiceberg.catalog.sql import SqlCatalog

    first, second = pa.table({"id": ["a", "b"], "lang": ["de", "en"]}), pa.table({"id": ["c"], "lang": ["de"]})
    write_deltalake(f"{folder}/delta", first, partition_by=["lang"])
    write_deltalake(f"{folder}/delta", second, mode="append")
    DeltaTable(f"{folder}/delta").delete("id = 'a'")

    catalog = SqlCatalog("c", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
    catalog.create_namespace("ns")
    kept = catalog.create_table("ns.t", schema=first.schema)
    kept.append(first)
    kept.append(second)
    kept.delete("id = 'a'")


if __name__ == "__main__":
    write(sys.argv[1]) if len(sys.argv) > 1 else main()
