"""What becomes of the values that pandas, Polars, DuckDB, datasets and Spark write."""

from __future__ import annotations

import pytest
from tests.docs.reading import ROOT
from tests.hosting.test_reference_case import script

writers = script("input_writers")
VALUES = writers.values_of_all()
SAME = {
    "bool": ("`True`", "`bool`"),
    "text": ("`ä`", "`string`"),
    "integer": ("`7`", "`int64`"),
    "double": ("`1.5`", "`double`"),
    "day": ("`2026-01-02`", "`date32[day]`"),
    "instant": ("`2026-01-02 03:04:05`", "`timestamp[us]`"),
    "instant of the year 1500": ("`1500-01-01 00:00:00`", "`timestamp[us]`"),
    "time of day": ("`09:30:00`", "`string`"),
    "UUID": (f"`{writers.UUID}`", "`string`"),
}


@pytest.mark.parametrize("value", SAME)
def test_the_same_value_is_the_same_whoever_wrote_it(value: str) -> None:
    assert {writers.outcome(*written) for written in VALUES[value].items()} == {SAME[value]}


@pytest.mark.parametrize("value", VALUES)
def test_what_a_prompt_sees_is_refused_or_the_value(value: str) -> None:
    """No prompt holds bytes, addresses of objects or the words of a null."""
    for written in VALUES[value].items():
        seen, held = writers.outcome(*written)
        assert "b'ab'" not in seen
        assert "object at" not in seen
        assert "None" not in seen + held


def test_the_table_in_the_docs_is_as_the_script_makes_it() -> None:
    page = (ROOT / "docs" / "input.md").read_text(encoding="utf-8")
    assert writers.with_table(page) == page, "run python docs/input_writers.py"
