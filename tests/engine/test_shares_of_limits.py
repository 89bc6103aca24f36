"""How processes divide one provider's slots, decision by decision and together, on a clock that the tests turn."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from prefect_llm.engine.limits.shared_limit import (
    IDLE_S,
    REST_S,
    TURN_S,
    UNUSED_S,
    Demand,
    Holding,
    SharedState,
    Steps,
    decide,
)

HELD_BACK, CONTENT, IDLE = Demand(True, True), Demand(True, False), Demand(False, False)
LATELY = IDLE_S * 2 - UNUSED_S


@pytest.mark.parametrize(
    ("holding", "seen", "demand", "steps"),
    [
        (Holding(), SharedState(80, 0, 0), HELD_BACK, Steps(take=(10,) * 8, claim=True)),
        (Holding((10,)), SharedState(80, 10, 0), CONTENT, Steps()),
        (Holding(), SharedState(80, 40, 1), HELD_BACK, Steps(take=(10,) * 4, claim=True)),
        (Holding((10,) * 8, claims=True), SharedState(80, 80, 2), HELD_BACK, Steps(give_back=4, claim=True)),
        (Holding((10,) * 8, claims=True), SharedState(80, 80, 1), HELD_BACK, Steps(claim=True)),
        (Holding((10,) * 8), SharedState(80, 80, 1), CONTENT, Steps(give_back=4)),
        (Holding((10,) * 4), SharedState(80, 80, 1), CONTENT, Steps()),
        (Holding((10,) * 8, idle_since=0.0), SharedState(80, 80, 1), IDLE, Steps(give_back=8)),
        (Holding((10,) * 8, idle_since=IDLE_S * 1.5), SharedState(80, 80, 1), IDLE, Steps()),
        (
            Holding((10,) * 8, idle_since=LATELY, unused_since=LATELY),
            SharedState(80, 80, 0),
            IDLE,
            Steps(give_back=8),
        ),
        (Holding((10,) * 8, idle_since=0.0, unused_since=0.0), SharedState(80, 80, 1), CONTENT, Steps(give_back=4)),
    ],
    ids=[
        "alone",
        "content",
        "half",
        "too much",
        "nobody else",
        "content with too much",
        "content with its part",
        "idle",
        "idle for a moment",
        "without a chunk",
        "with a chunk again",
    ],
)
def test_slots_are_taken_and_given_back_by_what_is_seen(
    holding: Holding, seen: SharedState, demand: Demand, steps: Steps
) -> None:
    assert decide(holding, seen, demand, now=IDLE_S * 2) == steps


def test_who_has_had_a_turn_leaves_the_slot_to_the_others_for_a_while() -> None:
    had = decide(Holding((1,), since=0.0, claims=True), SharedState(1, 1, 2), HELD_BACK, now=TURN_S)
    assert had == Steps(give_back=1, claim=True, ends_turn=True)
    rests = Holding(claims=True, turn_ended_at=TURN_S)
    assert decide(rests, SharedState(1, 0, 2), HELD_BACK, now=TURN_S + REST_S * 0.9).take == ()
    assert decide(rests, SharedState(1, 0, 2), HELD_BACK, now=TURN_S + REST_S).take == (1,)
    assert decide(rests, SharedState(1, 0, 1), HELD_BACK, now=TURN_S).take == (1,), "nobody else wants it"


@dataclass
class Process:
    """One that could always use more."""

    holding: Holding = field(default_factory=Holding)
    held_s: float = 0.0


def together(limit: int, count: int, seconds: int) -> list[Process]:
    """So many processes look once a second, one after the other; the slots taken never pass the limit."""
    processes = [Process() for _ in range(count)]
    for now in range(seconds):
        for process in processes:
            taken = sum(each.holding.slots for each in processes)
            claims = sum(each.holding.claims for each in processes)
            process.holding = _after(process.holding, SharedState(limit, taken, claims), float(now))
            assert sum(each.holding.slots for each in processes) <= limit
            process.held_s += process.holding.slots > 0
    return processes


def _after(holding: Holding, seen: SharedState, now: float) -> Holding:
    steps = decide(holding, seen, HELD_BACK, now)
    kept = holding.leases[: len(holding.leases) - steps.give_back]
    return replace(
        holding,
        leases=(*kept, *steps.take),
        claims=steps.claim,
        since=now if not kept and steps.take else holding.since,
        turn_ended_at=now if steps.ends_turn else holding.turn_ended_at,
    )


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_processes_that_want_all_have_about_the_same_within_ten_seconds(count: int) -> None:
    held = [process.holding.slots for process in together(120, count, 10)]
    assert sum(held) >= 0.95 * 120
    assert max(held) - min(held) <= 120 / 8


@pytest.mark.parametrize("count", [2, 3, 5])
def test_more_processes_than_slots_each_have_their_turns(count: int) -> None:
    held_s = [process.held_s for process in together(1, count, 200)]
    assert min(held_s) > 0.5 * 200 / count


def test_a_holding_knows_since_when_it_has_slots_and_no_work() -> None:
    none = Holding(turn_ended_at=3.0)
    first = none.observed((10,), claims=True, busy=True, now=5.0)
    assert first == Holding((10,), since=5.0, claims=True, turn_ended_at=3.0)
    idle = first.observed((10, 10), claims=False, busy=False, now=7.0)
    assert idle == Holding((10, 10), since=5.0, idle_since=7.0, turn_ended_at=3.0)
    assert idle.observed((10,), claims=False, busy=False, now=8.0).idle_since == 7.0
    assert idle.observed((10,), claims=False, busy=True, now=8.0).idle_since is None
