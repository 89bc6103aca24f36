from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal, localcontext

import pytest

from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.values.outcome import DiscardedAnswer, Outcome, Usage
from prefect_llm.values.tally import Discarded, RequestTally, TokenTally

STATS = ChunkStats(
    requests=RequestTally(sent=12, retries=2, throttled=1),
    discarded=Discarded(
        attempts=2,
        tokens=TokenTally(
            input_tokens=30, cached_input_tokens=4, cache_write_tokens=7, output_tokens=5, reasoning_tokens=6
        ),
        cost=Decimal("0.000000000011"),
    ),
    seconds=1.5,
)


@pytest.mark.parametrize("cost", [Decimal("0.000000000001"), Decimal("0"), None])
def test_stats_survive_their_json(cost: Decimal | None) -> None:
    stats = replace(STATS, discarded=replace(STATS.discarded, cost=cost))
    assert ChunkStats.from_json(stats.to_json()) == stats


def test_money_is_written_without_an_exponent() -> None:
    assert '"0.000000000011"' in STATS.to_json()


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
    stats = ChunkStats.of(outcomes, discarded_cost=Decimal("0.5"), seconds=2.0)
    assert stats == ChunkStats(
        requests=RequestTally(sent=5, retries=3, throttled=2),
        discarded=Discarded(2, TokenTally(30, 1, 0, 5, 1), Decimal("0.5")),
        seconds=2.0,
    )


def test_nothing_discarded_costs_nothing_even_without_a_price() -> None:
    assert ChunkStats.of([Outcome(attempts=1)], discarded_cost=None, seconds=1.0).discarded.cost == 0


def test_the_sum_adds_every_figure_exactly() -> None:
    with localcontext(prec=1):
        total = sum([STATS, STATS, STATS], ChunkStats())
    assert total == ChunkStats(
        RequestTally(36, 6, 3), Discarded(6, TokenTally(90, 12, 21, 15, 18), Decimal("0.000000000033")), 4.5
    )


def test_one_unknown_cost_makes_the_sum_unknown() -> None:
    unknown = replace(STATS, discarded=replace(STATS.discarded, cost=None))
    assert sum([STATS, unknown, STATS], ChunkStats()).discarded.cost is None


def test_what_another_version_counted_differently_is_read_all_the_same() -> None:
    """What an earlier one did not count is 0; what a later one counts besides is left out."""
    read = json.loads(STATS.to_json())
    del read["discarded"]["cache_write_tokens"], read["lost"], read["uncertain"], read["cache_saved"]
    earlier = ChunkStats.from_json(json.dumps(read))
    assert earlier.discarded.tokens == replace(STATS.discarded.tokens, cache_write_tokens=0)
    assert replace(earlier, discarded=STATS.discarded) == STATS
    read["discarded"]["later_tokens"] = read["later"] = 5
    assert ChunkStats.from_json(json.dumps(read)) == earlier
