"""Money in a purse is never more than was granted, whatever comes of the requests."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from prefect_llm.budget.balance import BudgetBalance

amounts = st.decimals(0, 10, places=4)


def test_what_does_not_fit_is_not_set_aside() -> None:
    purse = BudgetBalance(Decimal(100), free=Decimal(1))
    assert not purse.hold(Decimal("1.01"))
    assert purse.hold(Decimal(1))
    assert not purse.hold(Decimal("0.01"))


def test_what_a_request_did_not_cost_is_free_again() -> None:
    purse = BudgetBalance(Decimal(100), free=Decimal(1))
    purse.hold(Decimal(1))
    purse.settle(Decimal(1), Decimal("0.25"))
    assert (purse.free, purse.spent, purse.reserved) == (Decimal("0.75"), Decimal("0.25"), Decimal(0))


def test_what_may_have_been_spent_never_comes_back() -> None:
    purse = BudgetBalance(Decimal(100), free=Decimal(1))
    purse.hold(Decimal(1))
    purse.lose(Decimal(1))
    assert (purse.free, purse.lost, purse.empty()) == (Decimal(0), Decimal(1), Decimal(0))


def test_an_endpoint_that_bills_more_than_it_can_is_paid_from_what_comes_next() -> None:
    purse = BudgetBalance(Decimal(100), free=Decimal(1))
    purse.hold(Decimal(1))
    purse.settle(Decimal(1), Decimal(3))
    assert purse.empty() == 0
    purse.take(Decimal("2.5"))
    assert not purse.hold(Decimal(1))
    assert purse.hold(Decimal("0.5"))


def test_a_draw_is_for_the_request_and_for_those_that_follow() -> None:
    purse = BudgetBalance(Decimal(256))
    assert purse.wanted(Decimal("0.01")) == 1
    assert purse.wanted(Decimal(7)) == 7
    purse.take(Decimal(100))
    purse.hold(Decimal(80))
    assert purse.wanted() == 20


def test_it_draws_ahead_until_a_draw_is_refused() -> None:
    purse = BudgetBalance(Decimal(256))
    purse.take(Decimal("0.4"))
    assert purse.runs_low
    purse.take(Decimal(0))
    assert not purse.runs_low


@given(st.lists(st.tuples(st.sampled_from(["take", "hold", "settle", "lose", "empty"]), amounts), max_size=60))
def test_granted_money_is_free_or_set_aside_or_gone(steps: list[tuple[str, Decimal]]) -> None:
    purse, held = BudgetBalance(Decimal(100)), list[Decimal]()
    granted = Decimal(0)
    for what, amount in steps:
        if what == "take":
            purse.take(amount)
            granted += amount
        elif what == "hold":
            held += [amount] if purse.hold(amount) else []
        elif what == "empty":
            granted -= purse.empty()
        elif held:
            first = held.pop(0)
            if what == "settle":
                purse.settle(first, min(first, amount))
            else:
                purse.lose(first)
        assert purse.free + purse.reserved + purse.spent + purse.lost == granted
        assert min(purse.free, purse.reserved, granted) >= 0
        assert purse.in_flight == len(held)
