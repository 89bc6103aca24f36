from __future__ import annotations

from decimal import ROUND_UP, Decimal, localcontext

from prefect_llm.values.money import add_money, round_money


def test_a_sum_is_exact_whatever_the_caller_s_precision() -> None:
    with localcontext(prec=1, rounding=ROUND_UP):
        assert add_money(Decimal("1234.000000000001"), Decimal("0.000000000001")) == Decimal("1234.000000000002")


def test_a_sum_with_an_unknown_amount_is_unknown() -> None:
    assert add_money(None, Decimal(1)) is None
    assert add_money(Decimal(1), None) is None


def test_an_amount_of_any_size_is_rounded_half_even() -> None:
    with localcontext(prec=1, rounding=ROUND_UP):
        assert round_money(Decimal("0.125"), 2) == Decimal("0.12")
        assert round_money(Decimal("1E40"), 2) == Decimal("1E40")
