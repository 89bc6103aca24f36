"""What a budget sets aside is never less than what the request may be billed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, getcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_llm.pricing import cost, worst_case
from prefect_llm.pricing.worst_case import most_input_tokens
from prefect_llm.values.errors import BadDocument
from prefect_llm.values.outcome import Usage
from prefect_llm.values.price import Price
from prefect_llm.values.request import AnswerFormat, Parameters, Request

PRICE = Price(input=Decimal(2), output=Decimal(8))


def request(*contents: Any, **parameters: Any) -> Request:
    messages = tuple({"role": "user", "content": content} for content in contents)
    return Request(0, "d0", messages, replace(Parameters("m", max_output_tokens=100), **parameters), "f")


def test_it_is_every_byte_as_a_token_and_the_whole_output_limit() -> None:
    assert worst_case(request("a" * 84), [PRICE]) == Decimal(100 * 2 + 100 * 8) / 1_000_000


def test_a_character_counts_with_all_its_bytes() -> None:
    assert most_input_tokens(request("ä€😀")) == 2 + 3 + 4 + 16


def test_schema_and_other_parameters_count_as_input() -> None:
    answer_format = AnswerFormat({"type": "object"}, parse=str)
    assert most_input_tokens(request("", answer_format=answer_format)) == 16 + len('{"type":"object"}')
    assert most_input_tokens(request("", extra={"stop": ["x"]})) == 16 + len('{"stop":["x"]}')


def test_the_dearest_of_those_who_may_serve_it_counts() -> None:
    dear = Price(input=Decimal(1), output=Decimal(100))
    assert worst_case(request("a"), [PRICE, dear]) == worst_case(request("a"), [dear])


def test_cached_input_that_costs_more_than_input_counts() -> None:
    written = Price(input=Decimal(1), output=Decimal(0), cached_input=Decimal(3))
    assert worst_case(request("a" * 84), [written]) == Decimal("0.0003")


def test_searches_are_reserved_at_their_fee() -> None:
    searching = replace(PRICE, search=Decimal("0.01"))
    assert worst_case(request("a"), [searching], 2) == worst_case(request("a"), [PRICE]) + Decimal("0.02")
    assert worst_case(request("a"), [searching]) == worst_case(request("a"), [PRICE])


@pytest.mark.parametrize(
    ("unbounded", "prices", "reason"),
    [
        (request("a", max_output_tokens=None), [PRICE], "output limit"),
        (request("a"), [PRICE, None], "price"),
        (request([{"type": "image_url", "image_url": {"url": "https://h/i.png"}}]), [PRICE], "other parts"),
    ],
)
def test_what_nothing_bounds_fails_its_document(unbounded: Request, prices: list[Price | None], reason: str) -> None:
    with pytest.raises(BadDocument, match=reason):
        worst_case(unbounded, prices)


def test_text_parts_and_further_fields_of_a_message_are_bounded() -> None:
    parts = request([{"type": "text", "text": "a" * 50}])
    assert most_input_tokens(parts) >= 50
    named = Request(0, "d0", ({"role": "user", "content": "a" * 10, "name": "b" * 20},), parts.parameters, "f")
    assert most_input_tokens(named) >= 30


@given(
    text=st.text(max_size=60),
    limit=st.integers(1, 1000),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
    prices=st.tuples(*[st.decimals(0, 100, places=7)] * 3),
)
def test_no_usage_within_the_bounds_costs_more(
    text: str, limit: int, shares: tuple[float, float, float], prices: tuple[Decimal, Decimal, Decimal]
) -> None:
    price = Price(input=prices[0], output=prices[1], cached_input=prices[2])
    asked = request(text, max_output_tokens=limit)
    tokens = int(shares[0] * most_input_tokens(asked))
    usage = Usage(tokens, int(shares[1] * tokens), int(shares[2] * limit))
    billed = cost(usage, price)
    assert billed is not None
    assert billed <= worst_case(asked, [price])


def test_a_callers_decimal_context_changes_nothing() -> None:
    before = worst_case(request("a" * 999), [PRICE])
    getcontext().prec = 2
    try:
        assert worst_case(request("a" * 999), [PRICE]) == before
    finally:
        getcontext().prec = 28
