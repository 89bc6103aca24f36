from __future__ import annotations

from decimal import Decimal

import pytest

from prefect_llm.pricing import provenance
from prefect_llm.values.price import Price


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("stated", "stated for the run"),
        ("block", "of the provider block"),
        ("block https://a.example/prices 2026-01-31", "of the provider block (https://a.example/prices 2026-01-31)"),
        ("genai-prices 0.2.3 2026-11-04", "list price (genai-prices 0.2.3 2026-11-04)"),
        ("a list", "a list"),
    ],
)
def test_a_price_says_where_it_comes_from(source: str, words: str) -> None:
    assert provenance(Price(Decimal(1), Decimal(1), source=source)) == provenance(source) == words
