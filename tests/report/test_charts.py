from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from prefect_llm.report.pages import charts

ROWS = [
    {"name": "a & <b>", "low": 1000.0, "high": 2000.0, "kind": "x"},
    {"name": "c", "low": 5e9, "high": 7e9, "kind": "y"},
]
DRAW: dict[str, Callable[[], str]] = {
    "bars": lambda: charts.bars(ROWS, x="high", y="name", title="A <title>"),
    "logarithmic bars": lambda: charts.bars(ROWS, x="high", y="name", title="A <title>", log=True),
    "spans": lambda: charts.spans(ROWS, low="low", high="high", y="name", title="A <title>", log=True),
    "lines": lambda: charts.lines(ROWS, x="low", y="high", series="kind", title="A <title>"),
}


@pytest.mark.parametrize("name", DRAW)
def test_a_chart_is_svg_whose_text_has_the_colour_of_the_page(name: str) -> None:
    drawn = DRAW[name]()
    texts = [each for each in ElementTree.fromstring(drawn).iter() if each.tag.endswith("}text")]
    assert "A <title>" in ["".join(each.itertext()) for each in texts]
    assert {each.get("fill") for each in texts} == {"currentColor"}
    assert not re.search(r"<(script|image|style|foreignObject)|href=", drawn)


def test_large_numbers_are_short_and_named_as_people_name_them() -> None:
    texts = re.findall(r">([^<>]+)</text>", DRAW["spans"]())
    assert {"1k", "1B"} <= set(texts)


def test_series_have_colours_of_their_own() -> None:
    drawn = DRAW["lines"]()
    assert charts.PALETTE[0] in drawn
    assert charts.PALETTE[1] in drawn


def test_a_logarithmic_axis_is_labelled_by_round_numbers() -> None:
    rows = [{"low": low, "high": 1.1 * low, "count": 700} for low in (0.15, 0.9, 8.0)]
    drawn = charts.histogram(rows, low="low", high="high", y="count", title="t", x_title="seconds")
    texts = re.findall(r">([^<>]+)</text>", drawn)
    assert [each for each in texts if each in {"0.2", "0.5", "0.9", "1", "2", "5"}] == ["0.2", "0.5", "1", "2", "5"]


def test_a_narrow_logarithmic_axis_has_labels_too() -> None:
    rows = [{"low": 60.0, "high": 66.0, "count": 1}, {"low": 72.0, "high": 80.0, "count": 2}]
    drawn = charts.histogram(rows, low="low", high="high", y="count", title="t", x_title="tokens")
    assert re.search(r">[67]\d</text>", drawn)
