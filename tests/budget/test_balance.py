"""The money in a balance is never more than was granted, whatever comes of the requests."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from prefect_llm.budget.balance import BudgetBalance

amounts = st.decimals(0, 10, places=4)


def test_what_does_not_fit_is_not_reserved() -> None:
    balance = BudgetBalance(Decimal(100), free=Decimal(1))
    assert not balance.reserve(Decimal("1.01"))
    assert balance.reserve(Decimal(1))
    assert not balance.reserve(Decimal("0.01"))


def test_what_a_request_did_not_cost_is_free_again() -> None:
    balance = BudgetBalance(Decimal(100), free=Decimal(1))
    balance.reserve(Decimal(1))
    balance.settle(Decimal(1), Decimal("0.25"))
    assert (balance.free, balance.spent, balance.reserved) == (Decimal("0.75"), Decimal("0.25"), Decimal(0))


def test_what_may_have_been_billed_never_comes_back() -> None:
    balance = BudgetBalance(Decimal(100), free=Decimal(1))
    balance.reserve(Decimal(1))
    balance.forfeit(Decimal(1))
    assert (balance.free, balance.possibly_billed, balance.take_free()) == (Decimal(0), Decimal(1), Decimal(0))


def test_a_bill_above_the_reservation_is_paid_from_the_next_grant() -> None:
    balance = BudgetBalance(Decimal(100), free=Decimal(1))
    balance.reserve(Decimal(1))
    balance.settle(Decimal(1), Decimal(3))
    assert balance.take_free() == 0
    balance.add_grant(Decimal("2.5"))
    assert not balance.reserve(Decimal(1))
    assert balance.reserve(Decimal("0.5"))


def test_a_draw_is_for_the_request_and_for_those_that_follow() -> None:
    balance = BudgetBalance(Decimal(256))
    assert balance.wanted(Decimal("0.01")) == 1
    assert balance.wanted(Decimal(7)) == 7
    balance.add_grant(Decimal(100))
    balance.reserve(Decimal(80))
    assert balance.wanted() == 20


def test_it_draws_ahead_until_a_draw_is_refused() -> None:
    balance = BudgetBalance(Decimal(256))
    balance.add_grant(Decimal("0.4"))
    assert balance.runs_low
    balance.add_grant(Decimal(0))
    assert not balance.runs_low


@given(
    st.lists(st.tuples(st.sampled_from(["grant", "reserve", "settle", "forfeit", "take free"]), amounts), max_size=60)
)
def test_granted_money_is_free_or_reserved_or_spent(steps: list[tuple[str, Decimal]]) -> None:
    balance, reserved = BudgetBalance(Decimal(100)), list[Decimal]()
    granted = Decimal(0)
    for what, amount in steps:
        if what == "grant":
            balance.add_grant(amount)
            granted += amount
        elif what == "reserve":
            reserved += [amount] if balance.reserve(amount) else []
        elif what == "take free":
            granted -= balance.take_free()
        elif reserved:
            first = reserved.pop(0)
            if what == "settle":
                balance.settle(first, min(first, amount))
            else:
                balance.forfeit(first)
        assert balance.free + balance.reserved + balance.spent + balance.possibly_billed == granted
        assert min(balance.free, balance.reserved, granted) >= 0
        assert balance.in_flight == len(reserved)
