from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.hosting.scenarios import scenario

from prefect_llm.hosting import Comparison, compare, to_markdown
from prefect_llm.hosting.own_hosting import OwnCost

HUNDRED_A_SECOND: dict[str, Any] = {"throughput": {"tokens_per_second": 100}, "utilisation": 0.5}
"""One node: 100 x 86,400 x 30 x 0.5 = 129,600,000 output tokens a month."""


def own_of(tokens: int = 10_000_000, **hosting: Any) -> OwnCost:
    own = compared(tokens, **hosting).own
    assert own is not None
    return own


def compared(tokens: int = 10_000_000, **hosting: Any) -> Comparison:
    return compare(scenario(workload={"output_tokens_per_month": tokens}, hosting=hosting))


def test_power_is_kilowatts_times_hours_times_pue_times_price() -> None:
    own = own_of(power_kw=2, price_per_kwh="0.20", pue="1.5")
    assert own.power.low == own.power.high == 2 * 720 * Decimal("0.20") * Decimal("1.5")


def test_rent_is_for_every_gpu_of_every_node_and_every_hour() -> None:
    own = own_of(nodes=2, gpus_per_node=8, rent_per_gpu_hour="1.50-2")
    assert [own.rent.low, own.rent.high] == [16 * 720 * Decimal("1.5"), Decimal(16 * 720 * 2)]
    assert own.purchase is None
    assert own.total == own.running


@pytest.mark.parametrize(
    ("tokens", "redundant", "nodes"),
    [(1, 0, 1), (129_600_000, 0, 1), (129_600_001, 0, 2), (129_600_001, 1, 3), (1_296_000_000, 2, 12)],
)
def test_nodes_are_as_many_as_the_volume_needs_and_the_redundant_ones(
    tokens: int, redundant: int, nodes: int
) -> None:
    own = own_of(tokens, redundant_nodes=redundant, **HUNDRED_A_SECOND)
    assert own.nodes == nodes
    assert own.capacity is not None
    assert own.capacity.tokens == 129_600_000 * (nodes - redundant)
    assert own.capacity.tokens >= tokens


def test_machines_grow_with_the_nodes_and_people_do_not() -> None:
    costs: dict[str, Any] = {
        "purchase": 3600,
        "power": 50,
        "operations_fte": 1,
        "salary": 700,
        "upkeep": 10,
        **HUNDRED_A_SECOND,
    }
    one, three = own_of(**costs), own_of(300_000_000, **costs)
    assert (one.nodes, three.nodes) == (1, 3)
    for grown in ("colocation", "power", "amortisation"):
        assert getattr(three, grown) == getattr(one, grown).times(3)
    assert (three.operations, three.upkeep) == (one.operations, one.upkeep)
    assert [one.amortisation.low, three.amortisation.low] == [Decimal(100), Decimal(300)]


def test_a_break_even_that_the_machines_cannot_serve_is_said_so() -> None:
    # 1,000 a month at 2.00 per million is 500M tokens; one node gives 129.6M
    comparison = compared(**HUNDRED_A_SECOND)
    assert comparison.capacity == 129_600_000
    assert "| m | 500M | no |" in to_markdown(comparison)
    assert "| m | 500M | yes |" in to_markdown(compared(throughput={"tokens_per_second": 1000}))
    assert "| m | 500M | not known |" in to_markdown(compared())


def test_twice_the_throughput_or_utilisation_halves_the_cost_of_a_token_at_capacity() -> None:
    found = {(each.varied, each.factor): each for each in compared(**HUNDRED_A_SECOND).sensitivity}
    for varied in ("throughput", "utilisation"):
        once, twice = found[varied, Decimal(1)], found[varied, Decimal(2)]
        assert once.own_per_million is not None
        assert twice.own_per_million is not None
        assert round(once.own_per_million.low, 20) == round(twice.own_per_million.low * 2, 20)
    assert ("utilisation", Decimal("2")) not in {
        (each.varied, each.factor)
        for each in compared(utilisation="0.6", throughput={"tokens_per_second": 1}).sensitivity
    }


def test_half_the_price_doubles_the_break_even() -> None:
    found = {each.factor: each.break_evens["m"] for each in compared().sensitivity if each.varied == "price"}
    half, whole = found[Decimal("0.5")], found[Decimal(1)]
    assert half is not None
    assert whole is not None
    assert half == whole.times(2)
