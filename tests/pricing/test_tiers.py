from __future__ import annotations

from decimal import Decimal

import pytest

from prefect_llm.pricing import cost, dearest
from prefect_llm.values.outcome import Usage
from prefect_llm.values.price import Price, PriceTier

TIERED = Price(
    input=Decimal(1),
    output=Decimal(4),
    cached_input=Decimal("0.1"),
    cache_write=Decimal("1.25"),
    tiers=(
        PriceTier(100, Decimal(2), Decimal(6), cached_input=Decimal("0.2"), cache_write=Decimal("2.5")),
        PriceTier(200, Decimal(3), Decimal(5)),
    ),
)


@pytest.mark.parametrize(
    ("input_tokens", "millionths"),
    [(100, 100 * 1 + 10 * 4), (101, 101 * 2 + 10 * 6), (200, 200 * 2 + 10 * 6), (201, 201 * 3 + 10 * 5)],
)
def test_the_input_of_a_request_chooses_the_tier_for_all_its_tokens(input_tokens: int, millionths: int) -> None:
    assert cost(Usage(input_tokens, None, 10), TIERED) == Decimal(millionths) / 1_000_000


def test_cached_tokens_count_for_the_tier_and_cost_its_cached_price() -> None:
    usage = Usage(input_tokens=150, cached_input_tokens=100, output_tokens=0)
    assert cost(usage, TIERED) == Decimal(50 * 2 + 20) / 1_000_000
    usage = Usage(input_tokens=300, cached_input_tokens=100, output_tokens=0)  # no cached price: the input's
    assert cost(usage, TIERED) == Decimal(300 * 3) / 1_000_000


def test_tokens_written_to_a_cache_cost_the_price_of_that_and_are_counted_once() -> None:
    usage = Usage(input_tokens=100, cached_input_tokens=40, output_tokens=0, cache_write_tokens=20)
    assert cost(usage, TIERED) == Decimal("4") * 1 / 1_000_000 + Decimal(40 * 1 + 25) / 1_000_000
    more_than_there_are = Usage(input_tokens=100, cached_input_tokens=90, output_tokens=0, cache_write_tokens=90)
    assert cost(more_than_there_are, TIERED) == Decimal("9") / 1_000_000 + Decimal("12.5") / 1_000_000


@pytest.mark.parametrize(
    ("most", "input_price", "output_price"),
    [(100, "1.25", "4"), (101, "2.5", "6"), (200, "2.5", "6"), (None, "3", "6"), (10**9, "3", "6")],
)
def test_the_dearest_is_over_the_tiers_that_can_be_reached(
    most: int | None, input_price: str, output_price: str
) -> None:
    price = dearest(TIERED, most)
    assert (price.input, price.output, price.tiers) == (Decimal(input_price), Decimal(output_price), ())


def test_no_request_costs_more_than_at_the_dearest_price() -> None:
    for tokens in range(0, 400, 7):
        usage = Usage(tokens, tokens // 3, tokens // 2, cache_write_tokens=tokens // 4)
        most, billed = cost(usage, dearest(TIERED, tokens)), cost(usage, TIERED)
        assert most is not None
        assert billed is not None
        assert billed <= most
