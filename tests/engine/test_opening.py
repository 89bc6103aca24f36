"""How many of a run's first requests leave: no more than a slow server with few slots answers in time."""

from __future__ import annotations

import heapq
from collections import deque

import pytest

from prefect_llm.engine.limits.concurrency import AdaptiveConcurrency
from prefect_llm.engine.limits.opening import FIRST_SLOTS, Opening

TIMEOUT_S = 120.0
ENOUGH = 16


def opened(slots: int, latency_s: float, answers: int = 40) -> tuple[Opening, int]:
    """An opening at a server of so many slots that answers in turn, and how many attempts timed out."""
    opening, waiting, timeouts = Opening(ENOUGH, TIMEOUT_S), deque([0.0] * FIRST_SLOTS), 0
    free_at = [0.0] * slots
    for _ in range(answers):
        left_at = waiting.popleft()
        now = max(left_at, heapq.heappop(free_at)) + latency_s
        if now - left_at > TIMEOUT_S:
            timeouts, now = timeouts + 1, left_at + TIMEOUT_S
            opening.timed_out()
        else:
            opening.answered(now, now - left_at)
        heapq.heappush(free_at, now)
        waiting.extend([now] * (opening.slots - len(waiting)))
        if opening.over:
            break
    return opening, timeouts


@pytest.mark.parametrize(
    ("slots", "latency_s", "most"),
    [(1, 20.0, 5), (1, 8.0, 9), (2, 20.0, 8), (1, 1.0, 16), (4, 10.0, 16), (16, 30.0, 16), (64, 60.0, 16)],
)  # fmt: skip
def test_no_first_request_comes_too_late_and_an_endpoint_that_takes_many_soon_has_many(
    slots: int, latency_s: float, most: int
) -> None:
    opening, timeouts = opened(slots, latency_s)
    assert timeouts == 0
    assert FIRST_SLOTS < opening.slots <= most
    assert opening.over == (opening.slots == ENOUGH) == (most == ENOUGH)


def test_each_timeout_among_the_first_attempts_takes_a_slot_but_never_the_last() -> None:
    opening = Opening(ENOUGH, TIMEOUT_S)
    for _ in range(10):
        opening.timed_out()
    assert (opening.slots, opening.over) == (1, False)


def test_a_server_whose_queue_of_four_outlasts_an_attempt_gets_fewer() -> None:
    opening, _ = opened(1, 50.0)
    assert opening.slots < FIRST_SLOTS


@pytest.mark.parametrize("enough", [1, 2, 4])
def test_a_ceiling_below_the_first_slots_holds_from_the_start(enough: int) -> None:
    opening = Opening(enough, TIMEOUT_S)
    assert (opening.slots, opening.over) == (enough, True)


def test_an_endpoint_that_says_what_is_too_much_is_not_asked_by_four() -> None:
    adaptive = AdaptiveConcurrency(ENOUGH, TIMEOUT_S)
    assert adaptive.concurrency == FIRST_SLOTS
    adaptive.left(0.0, 1)
    adaptive.throttled(0.1)
    assert adaptive.concurrency == ENOUGH
