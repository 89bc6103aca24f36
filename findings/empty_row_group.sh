#!/usr/bin/env bash
# What:      a folder of Parquet parts, one of which begins with a row group of no rows (an Arrow writer given an empty batch)
# Version:   datasets 5.2.0 with pyarrow 26.0.1
# Guess:     no rows from that group and the rest as ever: pyarrow reads the folder so, and an empty group further on does no harm
# Behaviour: load_dataset takes the first group's row count as its batch size, 0, and gives up the whole folder
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1
export HF_HOME=$room/hf HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1

venv/bin/python - <<'PY'
import logging
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

logging.disable(logging.CRITICAL)
rows = pa.table({"document": ["a"], "answer": ["yes"]})


def write(folder, batches):
    Path(folder).mkdir()
    pq.write_table(rows, f"{folder}/part-1.parquet")
    with pq.ParquetWriter(f"{folder}/part-2.parquet", rows.schema) as writer:
        for batch in batches:
            writer.write_table(batch)


def loaded(folder):
    try:
        return len(datasets.load_dataset("parquet", data_dir=folder, split="train"))
    except datasets.exceptions.DatasetGenerationError as error:
        return str(error.__cause__)


write("last", [rows, rows.schema.empty_table()])
write("first", [rows.schema.empty_table(), rows])
arrow_rows = pq.read_table("first").num_rows
last, first = loaded("last"), loaded("first")

print("datasets", datasets.__version__)
print("guessed: 2 rows of either folder; pyarrow reads", arrow_rows)
print("empty group last: ", last)
print("empty group first:", first)

assert arrow_rows == last == 2
assert first == "BatchSize must be greater than 0, got 0"
PY
