#!/usr/bin/env bash
# What:      two Parquet parts, one column int32 in the first and float32 in the second, read as one table
# Version:   duckdb 2.0.1; polars 2.1.0 and pyarrow 26.0.1 beside it
# Guess:     the common type is DOUBLE, which holds both exactly (Polars and Arrow choose it); or an error
# Behaviour: union_by_name chooses FLOAT and 16777217 becomes 16777216; without it the first part's INTEGER wins and 0.25 becomes 0
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check duckdb==2.0.1 polars==2.1.0 pyarrow==26.0.1

venv/bin/python - <<'PY'
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

pq.write_table(pa.table({"score": pa.array([16777217], pa.int32())}), "part-1.parquet")
pq.write_table(pa.table({"score": pa.array([0.25], pa.float32())}), "part-2.parquet")
parts = ["part-1.parquet", "part-2.parquet"]

by_name = duckdb.sql(f"select score, typeof(score) from read_parquet({parts}, union_by_name = true)").fetchall()
by_first = duckdb.sql(f"select score, typeof(score) from read_parquet({parts})").fetchall()
polars = pl.concat([pl.read_parquet(part) for part in parts], how="vertical_relaxed")["score"]
arrow = pa.concat_tables([pq.read_table(part) for part in parts], promote_options="permissive")["score"]

print("duckdb", duckdb.__version__)
print("guessed:             [16777217.0, 0.25] as DOUBLE")
print("polars, arrow:      ", polars.to_list(), polars.dtype, arrow.to_pylist(), arrow.type)
print("duckdb by name:     ", by_name)
print("duckdb by position: ", by_first)

assert polars.to_list() == arrow.to_pylist() == [16777217.0, 0.25]
assert by_name == [(16777216.0, "FLOAT"), (0.25, "FLOAT")]
assert by_first == [(16777217, "INTEGER"), (0, "INTEGER")]
PY
