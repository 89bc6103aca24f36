from __future__ import annotations

import re
from xml.etree import ElementTree

from tests.hosting.scenarios import scenario

from prefect_llm.hosting import compare, load_scenario, to_html


def test_the_page_has_every_table_and_chart_and_asks_for_nothing_else() -> None:
    page = to_html(compare(load_scenario()))
    charts = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(charts) == 4
    for chart in charts:
        ElementTree.fromstring(chart)
        assert "currentColor" in chart
    assert page.count("<table>") == 5
    assert not re.search(r"<(script|link|img|iframe)\b|(?:src|href)=[\"']http|url\(http|@import", page)


def test_names_are_text_in_tables_and_charts() -> None:
    hostile = "<script>alert(1)</script> | `x`"
    page = to_html(compare(scenario(models=[{"name": hostile, "price_output": 1}])))
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; | `x`</td>" in page
