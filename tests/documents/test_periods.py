"""pandas periods: text as pandas prints it, whether pandas is loaded or not."""

from __future__ import annotations

import json
from typing import Any

import pandas  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

FREQUENCIES = ["Y", "Q", "M", "W", "D", "h", "min", "s"]
STARTS = ["2026-01-05 10:00", "1965-12-31 23:59"]


def periods(frequency: str) -> pandas.DataFrame:
    cells = [pandas.Period(start, frequency) for start in STARTS]
    return pandas.DataFrame({"p": pandas.array([*cells, None], dtype=pandas.PeriodDtype(cells[0].freq))})


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_periods_are_the_text_that_pandas_prints(read: Any, tmp_path: Any, frequency: str) -> None:
    frame = periods(frequency)
    texts = [*(str(pandas.Period(start, frequency)) for start in STARTS), None]
    table = pa.Table.from_pandas(frame)
    pq.write_table(table, tmp_path / "a.parquet")
    for source in (table, tmp_path / "a.parquet"):
        documents = read(source)
        assert [row["p"] for row in documents.fields] == texts
        assert documents.kept.column("p").to_pylist() == texts


def test_without_pandas_the_files_metadata_says_what_they_are(read: Any, tmp_path: Any) -> None:
    said = {"ARROW:extension:name": "pandas.period", "ARROW:extension:metadata": json.dumps({"freq": "Q-DEC"})}
    table = pa.table({"p": [224]}, schema=pa.schema([pa.field("p", pa.int64(), metadata=said)]))
    assert read(table).fields[0]["p"] == "2026Q1"


def test_a_frequency_that_is_not_known_is_refused_if_it_is_used(read: Any, refused: Any) -> None:
    cells = pandas.array([pandas.Period("2026-01-05", "ms")])
    table = pa.table({"text": ["x"], "p": cells})
    text = frozenset({"text"})
    assert read(table, needed=text, wanted=text, keep="none").fields[0]["text"] == "x"
    assert 'the column "p" of "pyarrow.Table" holds pandas periods (ms)' in refused(table)
