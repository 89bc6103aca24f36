from __future__ import annotations

from decimal import ROUND_UP, Decimal, localcontext

import pytest

from prefect_llm.pricing.cost import cost, price_for
from prefect_llm.values.outcome import Usage
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Provider

PRICE = Price(input=Decimal("2"), output=Decimal("8"), cached_input=Decimal("0.5"))


def test_cached_tokens_are_taken_out_of_the_input_and_reasoning_stays_in_the_output() -> None:
    usage = Usage(input_tokens=1000, cached_input_tokens=400, output_tokens=100, reasoning_tokens=60)
    # 600 x 2 + 400 x 0.5 + 100 x 8 = 2,200 millionths
    assert cost(usage, PRICE) == Decimal("0.0022")


def test_cached_input_without_a_price_costs_the_input_price() -> None:
    usage = Usage(input_tokens=1000, cached_input_tokens=1000, output_tokens=0)
    assert cost(usage, Price(input=Decimal("2"), output=Decimal("8"))) == Decimal("0.002")


def test_a_cached_price_of_zero_is_a_price() -> None:
    usage = Usage(input_tokens=1000, cached_input_tokens=1000, output_tokens=0)
    free_cache = Price(input=Decimal("2"), output=Decimal("8"), cached_input=Decimal("0"))
    assert cost(usage, free_cache) == Decimal("0")


@pytest.mark.parametrize(
    ("usage", "price"),
    [
        (None, PRICE),
        (Usage(input_tokens=1, output_tokens=1), None),
        (Usage(output_tokens=1), PRICE),
        (Usage(input_tokens=1), PRICE),
        (Usage(input_tokens=-1, output_tokens=1), PRICE),
        (Usage(input_tokens=1, output_tokens=-1), PRICE),
        (Usage(input_tokens=10**30, output_tokens=1), PRICE),
    ],
)
def test_what_is_not_known_has_no_cost_rather_than_none_to_pay(usage: Usage | None, price: Price | None) -> None:
    assert cost(usage, price) is None


@pytest.mark.parametrize(("cached", "expected"), [(5000, "0.0005"), (-5, "0.002"), (None, "0.002")])
def test_odd_cached_counts_stay_within_the_input(cached: int | None, expected: str) -> None:
    usage = Usage(input_tokens=1000, cached_input_tokens=cached, output_tokens=0)
    assert cost(usage, PRICE) == Decimal(expected)


@pytest.mark.parametrize(
    ("price", "expected"),
    [("0.0000005", "0.000000000000"), ("0.0000015", "0.000000000002"), ("0.0000025", "0.000000000002")],
)
def test_a_half_of_the_last_decimal_goes_to_the_even_one(price: str, expected: str) -> None:
    figure = cost(Usage(input_tokens=1, output_tokens=0), Price(input=Decimal(price), output=Decimal("0")))
    assert str(figure) == str(Decimal(expected))


def test_the_sum_is_rounded_once_and_not_each_term() -> None:
    price = Price(input=Decimal("0.0000004"), output=Decimal("0.0000004"))
    # each term is 0.4 of the last decimal; rounded one by one they would vanish
    assert cost(Usage(input_tokens=1, output_tokens=1), price) == Decimal("0.000000000001")


def test_the_callers_decimal_context_changes_nothing() -> None:
    usage = Usage(input_tokens=1_234_567, output_tokens=7_654_321)
    price = Price(input=Decimal("1.23456789"), output=Decimal("9.87654321"))
    usual = cost(usage, price)
    with localcontext(prec=3, rounding=ROUND_UP):
        assert cost(usage, price) == usual
    assert usual == Decimal("77.122388875964")  # exactly 77.12238887596404


def test_a_million_tokens_cost_the_price_per_million() -> None:
    assert cost(Usage(input_tokens=1_000_000, output_tokens=0), PRICE) == Decimal("2")


def test_a_models_own_price_comes_before_the_one_for_every_model() -> None:
    own, any_model = PRICE, Price(input=Decimal("1"), output=Decimal("1"))
    provider = Provider("http://h/v1", prices={"m": own, "*": any_model})
    assert price_for(provider, "m") is own
    assert price_for(provider, "m-2024") is any_model
    assert price_for(Provider("http://h/v1", prices={"m": own}), "m-2024") is None


def test_an_hour_of_the_endpoint_costs_what_it_costs_whatever_the_tokens() -> None:
    machines = Price(input=Decimal(0), output=Decimal(0), per_hour=Decimal("2.40"))
    assert cost(Usage(input_tokens=1000, output_tokens=100), machines, endpoint_s=1.5) == Decimal("0.001")
    assert cost(None, machines, endpoint_s=1.5) == Decimal("0.001")


def test_time_comes_on_top_where_tokens_have_a_price_too() -> None:
    both = Price(input=Decimal(2), output=Decimal(8), per_hour=Decimal("2.40"))
    assert cost(Usage(input_tokens=1000, output_tokens=0), both, endpoint_s=1.5) == Decimal("0.003")
    assert cost(None, both, endpoint_s=1.5) is None
