from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext

import pytest

from prefect_llm.store.figures import ChunkStats, Discarded, stats_of, sum_stats
from prefect_llm.values.outcome import DiscardedAnswer, Outcome, Usage

FIGURES = ChunkStats(
    requests=12,
    retries=2,
    throttled=1,
    discarded=Discarded(
        attempts=2,
        input_tokens=30,
        cached_input_tokens=4,
        output_tokens=5,
        reasoning_tokens=6,
        cost=Decimal("0.000000000011"),
    ),
    seconds=1.5,
)


@pytest.mark.parametrize("cost", [Decimal("0.000000000001"), Decimal("0"), None])
def test_figures_survive_their_json(cost: Decimal | None) -> None:
    figures = replace(FIGURES, discarded=replace(FIGURES.discarded, cost=cost))
    assert ChunkStats.from_json(figures.to_json()) == figures


def test_money_is_written_without_an_exponent() -> None:
    assert '"0.000000000011"' in FIGURES.to_json()


def test_outcomes_are_counted() -> None:
    outcomes = [
        Outcome(attempts=1),
        Outcome(
            attempts=4,
            throttled=2,
            discarded=(DiscardedAnswer(Usage(10, 1, 2, None), "m"), DiscardedAnswer(Usage(20, None, 3, 1), "m")),
        ),
        Outcome(attempts=0),
    ]
    figures = stats_of(outcomes, discarded_cost=Decimal("0.5"), seconds=2.0)
    assert figures == ChunkStats(
        requests=5,
        retries=3,
        throttled=2,
        discarded=Discarded(2, 30, 1, 5, 1, Decimal("0.5")),
        seconds=2.0,
    )


def test_nothing_thrown_away_costs_nothing_even_without_a_price() -> None:
    assert stats_of([Outcome(attempts=1)], discarded_cost=None, seconds=1.0).discarded.cost == 0


def test_the_sum_adds_every_figure_exactly() -> None:
    with localcontext(prec=1):
        total = sum_stats([FIGURES, FIGURES, FIGURES])
    assert total == ChunkStats(36, 6, 3, Discarded(6, 90, 12, 15, 18, Decimal("0.000000000033")), 4.5)


def test_one_unknown_cost_makes_the_sum_unknown() -> None:
    unknown = replace(FIGURES, discarded=replace(FIGURES.discarded, cost=None))
    assert sum_stats([FIGURES, unknown, FIGURES]).discarded.cost is None
