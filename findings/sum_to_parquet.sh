#!/usr/bin/env bash
# What:      the sum of a BIGINT column (tokens, billionths of a dollar), written by DuckDB to Parquet
# Version:   duckdb 2.0.1, pyarrow 26.0.1
# Guess:     an exact sum of whole numbers stays exact in the file, as a decimal or an integer
# Behaviour: the sum is a HUGEINT, which COPY writes as DOUBLE without a word: the query says ...993, the file holds ...992
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check duckdb==2.0.1 pyarrow==26.0.1

venv/bin/python - <<'PY'
import duckdb
import pyarrow.parquet as pq

total = "select {} as total from (values (9007199254740992::bigint), (1::bigint)) rows(n)"
[(asked, asked_type)] = duckdb.sql(f"select total, typeof(total) from ({total.format('sum(n)')})").fetchall()
duckdb.sql(f"copy ({total.format('sum(n)')}) to 'total.parquet'")
duckdb.sql(f"copy ({total.format('sum(n)::bigint')}) to 'cast.parquet'")
written = pq.read_table("total.parquet")["total"]
cast = pq.read_table("cast.parquet")["total"]

print("duckdb", duckdb.__version__)
print(f"the query answers: {asked} ({asked_type})")
print(f"guessed in the file: {asked}")
print(f"in the file: {int(written[0].as_py())} ({written.type})")
print(f"with sum(n)::bigint: {cast[0].as_py()} ({cast.type})")

assert (asked, asked_type) == (9007199254740993, "HUGEINT")
assert (str(written.type), written[0].as_py()) == ("double", 9007199254740992.0)
assert cast[0].as_py() == 9007199254740993
PY
