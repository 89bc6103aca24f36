"""Tallies add up: in whatever order and grouping the rows, chunks and processes of a run come together."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import fields
from decimal import Decimal
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_llm.values.outcome import Completion, ErrorKind, Failure, Outcome, Usage
from prefect_llm.values.price import Price
from prefect_llm.values.tally import TOKEN_COLUMNS, Discarded, RequestTally, Tally, TokenTally

COUNT = st.integers(0, 10**6)
MONEY = st.decimals(0, 10**6, places=12)
PRICE = Price(Decimal(1), Decimal(2), currency="EUR")
TOKENS = st.builds(TokenTally, *[COUNT] * len(TOKEN_COLUMNS))
KINDS = st.dictionaries(st.sampled_from(["timeout", "rejected", "refused"]), st.integers(1, 9))
TALLIES = st.builds(Tally, COUNT, KINDS, TOKENS, MONEY, st.integers(0, 3), st.sampled_from([None, "EUR"]))
REQUESTS = st.builds(RequestTally, COUNT, COUNT, COUNT, COUNT)
DISCARDED = st.builds(Discarded, COUNT, TOKENS, st.none() | MONEY)

Row = tuple[Outcome, Decimal | None, Price | None, tuple[Decimal | None, ...]]


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """A row that ended: answered or not, counted or not, priced or not, with discarded answers before it."""
    usage = draw(st.none() | st.builds(Usage, *[st.none() | COUNT] * len(TOKEN_COLUMNS)))
    completion = draw(st.none() | st.just(Completion("x", usage=usage)))
    failure = (
        None if completion is not None and draw(st.booleans()) else Failure(draw(st.sampled_from(ErrorKind)), "")
    )
    outcome = Outcome(completion, failure, attempts=draw(st.integers(0, 5)))
    discarded = tuple(draw(st.lists(st.none() | MONEY, max_size=2)))
    return outcome, draw(st.none() | MONEY), draw(st.sampled_from([None, PRICE])), discarded


def fold(given: Sequence[Row]) -> Tally:
    """The tally of these rows, one after the other."""
    return reduce(lambda tally, row: tally.plus(*row), given, Tally())


@given(ended=st.lists(rows(), max_size=8), seed=st.integers(), cut=st.integers(0, 8))
def test_rows_add_up_to_the_same_in_any_order_and_grouping(ended: list[Row], seed: int, cut: int) -> None:
    """As they come from threads, from chunks of other processes, and from attempts before this one."""
    shuffled = random.Random(seed).sample(ended, len(ended))
    assert fold(shuffled) == fold(ended)
    assert fold(shuffled[:cut]) + fold(shuffled[cut:]) == fold(ended)
    assert sum((fold([row]) for row in shuffled), Tally()) == fold(ended)


@pytest.mark.parametrize(
    ("values", "nothing"),
    [(TALLIES, Tally()), (TOKENS, TokenTally()), (REQUESTS, RequestTally()), (DISCARDED, Discarded())],
)
@given(data=st.data())
def test_a_sum_does_not_depend_on_its_brackets(values: Any, nothing: Any, data: st.DataObject) -> None:
    """Costs that are not known included; nothing is what changes no sum."""
    one, two, three = (data.draw(values) for _ in range(3))
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one
    assert nothing + one == one == one + nothing


@pytest.mark.parametrize(
    ("cost", "known", "all_of_it"),
    [(Decimal("0.5"), Decimal("0.75"), Decimal("0.75")), (None, Decimal("0.25"), None)],
)
def test_one_unknown_cost_makes_the_cost_unknown_and_leaves_what_is_known(
    cost: Decimal | None, known: Decimal, all_of_it: Decimal | None
) -> None:
    answered = Outcome(Completion("yes"))
    tally = Tally().plus(answered, Decimal("0.25"), PRICE).plus(answered, cost, PRICE)
    assert (tally.known_cost, tally.cost) == (known, all_of_it)
    assert (Discarded(1, cost=cost) + Discarded(1, cost=Decimal("0.25"))).cost == all_of_it


@given(tally=TALLIES, row=rows())
def test_a_row_that_is_taken_out_again_leaves_nothing(tally: Tally, row: Row) -> None:
    assert tally.plus_unpaid(row[0]).plus_unpaid(row[0], -1) == tally


def test_every_count_of_an_answer_is_added_under_its_own_name() -> None:
    counts = {name: number for number, name in enumerate(TOKEN_COLUMNS, 1)}
    assert set(TOKEN_COLUMNS) == {each.name for each in fields(Usage)}
    assert (TokenTally() + Usage(**counts)).by_name() == counts
    assert (TokenTally(**counts) + TokenTally(**counts)).by_name() == {name: 2 * n for name, n in counts.items()}
    assert TokenTally(**counts).usage == Usage(**counts)


@pytest.mark.parametrize("without", TOKEN_COLUMNS)
def test_a_count_that_the_endpoint_did_not_tell_adds_nothing(without: str) -> None:
    before = TokenTally(1, 1, 1, 1, 1)
    assert (before + Usage(**dict.fromkeys(TOKEN_COLUMNS, 1) | {without: None})).by_name() == {
        name: 1 if name == without else 2 for name in TOKEN_COLUMNS
    }


@pytest.mark.parametrize(
    ("outcome", "requests"),
    [
        (Outcome(), RequestTally()),
        (Outcome(attempts=1), RequestTally(sent=1)),
        (Outcome(attempts=5, throttled=2, lost=1), RequestTally(5, 4, 2, 1)),
    ],
)
def test_requests_of_a_document_after_its_first_are_retries(outcome: Outcome, requests: RequestTally) -> None:
    assert RequestTally.of(outcome) == requests
