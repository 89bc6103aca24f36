from __future__ import annotations

from decimal import Decimal, localcontext

import pytest

from prefect_llm.values import formatting as text


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"),
        ("0.0123", "$0.0123"),
        ("0.012345678", "$0.0123457"),
        ("0.000000000001", "$0.000000000001"),
        ("5", "$5.00"),
        ("12.3456789", "$12.3457"),
        ("1234.5678", "$1,234.57"),
        ("1234567.891", "$1,234,567.89"),
        ("9.9999999", "$10.00"),
        ("1E+3", "$1,000.00"),
    ],
)
def test_money_has_six_significant_digits_and_two_decimals_at_least(amount: str, shown: str) -> None:
    with localcontext(prec=2):
        assert text.money(Decimal(amount), "USD") == shown


def test_money_names_its_currency() -> None:
    amount = Decimal("1.5")
    shown = [text.money(amount, currency) for currency in ("EUR", "GBP", "CHF", None)]
    assert shown == ["€1.50", "£1.50", "1.50 CHF", "1.50"]


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (None, "USD", "unknown price"),
        (Decimal(0), None, ""),
        (Decimal(0), "CHF", "0.00 CHF"),
        (Decimal("0.5"), "USD", "$0.50"),
    ],
)
def test_a_cost_of_nothing_in_no_currency_is_not_told(
    amount: Decimal | None, currency: str | None, shown: str
) -> None:
    assert text.cost_so_far(amount, currency) == shown


@pytest.mark.parametrize(
    ("amount", "plain"),
    [
        ("0.000123000000", "0.000123"),
        ("1E+2", "100"),
        ("1E-12", "0.000000000001"),
        ("0E-12", "0"),
        ("10", "10"),
    ],
)
def test_plain_decimals_have_no_exponent_and_no_trailing_zeros(amount: str, plain: str) -> None:
    assert text.plain_decimal(Decimal(amount)) == plain


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0 ms"),
        (0.412, "412 ms"),
        (0.9996, "1.0 s"),
        (3.2, "3.2 s"),
        (59.96, "1 min 0 s"),
        (125.4, "2 min 5 s"),
        (3599.6, "1 h 0 min"),
        (3780.0, "1 h 3 min"),
    ],
)
def test_durations_change_their_unit(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "0%"),
        (0, 5, "0%"),
        (5, 5, "100%"),
        (1, 3, "33.3%"),
        (99_999, 100_000, "99.9%"),
        (1, 100_000, "0.1%"),
    ],
)
def test_a_share_is_all_or_nothing_only_when_it_is(part: int, whole: int, shown: str) -> None:
    assert text.share(part, whole) == shown


def test_counts_separate_thousands_and_rates_have_three_digits() -> None:
    assert text.counted(1, "row") == "1 row"
    assert text.counted(1234, "row") == "1,234 rows"
    assert [text.rate(value) for value in (0.254, 12.34, 1234.4)] == ["0.25", "12.3", "1,234"]


def test_what_would_steer_a_terminal_is_made_visible() -> None:
    assert text.printable("a\x1b[31m\nb\tc") == "a\ufffd[31m b c"


def test_words_are_listed_with_a_conjunction_before_the_last() -> None:
    assert text.listed(["a"], "or") == "a"
    assert text.listed(["a", "b", "c"], "or") == "a, b or c"


def test_of_many_words_the_first_are_named_and_the_rest_counted() -> None:
    assert text.first_listed(["a", "b", "c"], 3) == "a, b, c"
    assert text.first_listed(["a", "b", "c", "d"], 2) == "a, b and 2 more"


def test_one_line_has_no_breaks_and_ends_where_it_was_cut() -> None:
    assert text.one_line(" a\n\tb ") == "a b"
    assert text.one_line("word " * 1_000)[-5:] == "word…"
    assert len(text.one_line("word " * 1_000)) == 500
