"""The circuit breaker by tables: what opens it, how long it stays open, and how it lets a provider recover."""

from __future__ import annotations

import math

import pytest

from prefect_llm.engine.failures.breaker import Breaker, BreakerState
from prefect_llm.engine.failures.recent_failures import JUDGED_ATTEMPTS, OUTAGE_DOCUMENTS
from prefect_llm.values.errors import Unavailable
from prefect_llm.values.outcome import ErrorKind

DOWN = Unavailable("HTTP 503", status=503)
SLOW = Unavailable("no answer", kind=ErrorKind.TIMEOUT)
REFUSED = Unavailable("no connection: refused", kind=ErrorKind.CONNECTION, unreachable=True)
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


def pause_s(openings: int) -> float:
    """1, 2, 4, ... seconds."""
    return 2.0 ** (openings - 1)


def closed(outage_limit_s: float = math.inf) -> Breaker:
    """A breaker that has seen nothing."""
    return Breaker(pause_s, outage_limit_s)


def opened(now: float = 0.0) -> Breaker:
    """A breaker that has just opened for a second."""
    breaker = closed()
    breaker.failed(now, now, "doc-0", REFUSED)
    assert breaker.state is OPEN
    return breaker


def probing(now: float = 1.0) -> Breaker:
    """A breaker whose probe left at `now`."""
    breaker = opened(now - 1.0)
    assert breaker.admits(now, in_flight=0)
    assert breaker.left()
    return breaker


def recovering(now: float = 2.0, in_flight: int = 1) -> Breaker:
    """A breaker that a probe's success has just closed, so many being in flight with it."""
    breaker = probing(now - 1.0)
    breaker.succeeded(now, left_at=now - 1.0, in_flight=in_flight)
    breaker.probe_ended()
    return breaker


def test_it_begins_closed_and_admits_any_number() -> None:
    assert closed().state is CLOSED
    assert closed().admits(0.0, in_flight=1_000_000)
    assert closed().wait_until() is None


@pytest.mark.parametrize(
    ("documents", "errors", "state"),
    [
        ([*range(OUTAGE_DOCUMENTS - 1)], [DOWN], CLOSED),
        ([*range(OUTAGE_DOCUMENTS)], [DOWN], OPEN),
        ([*range(OUTAGE_DOCUMENTS)], [SLOW], OPEN),
        ([*range(OUTAGE_DOCUMENTS)], [DOWN, SLOW], OPEN),
        ([0] * (JUDGED_ATTEMPTS - 1), [DOWN], CLOSED),
        ([*range(OUTAGE_DOCUMENTS - 1)] * 3, [DOWN], CLOSED),
        ([0], [REFUSED], OPEN),
    ],
    ids=[
        "nine documents",
        "ten documents",
        "ten timeouts",
        "ten of both",
        "one document again and again",
        "nine documents three times each",
        "one refused connection",
    ],
)
def test_what_opens_it_without_a_success_in_between(
    documents: list[int], errors: list[Unavailable], state: BreakerState
) -> None:
    breaker = closed()
    for number, row in enumerate(documents):
        breaker.failed(1.0, 0.5, f"doc-{row}", errors[number % len(errors)])
    assert breaker.state is state


@pytest.mark.parametrize(
    ("good_of_ten", "attempts", "state"),
    [(2, 50, OPEN), (2, 49, CLOSED), (3, 50, CLOSED), (3, 500, CLOSED), (1, 50, OPEN)],
)
def test_it_opens_when_four_of_five_of_the_last_fifty_attempts_failed(
    good_of_ten: int, attempts: int, state: BreakerState
) -> None:
    breaker = closed()
    for number in range(attempts):
        if number % 10 < good_of_ten:
            breaker.succeeded(1.0, left_at=0.5, in_flight=1)
        else:
            breaker.failed(1.0, 0.5, f"doc-{number % 10}", DOWN)
    assert breaker.state is state
    assert not breaker.outage, "something succeeds: a failure may be its document's own"


def test_a_success_begins_the_count_of_documents_anew() -> None:
    breaker = closed()
    for row in range(OUTAGE_DOCUMENTS - 1):
        breaker.failed(1.0, 0.5, f"doc-{row}", DOWN)
    breaker.succeeded(1.0, left_at=0.5, in_flight=1)
    for row in range(OUTAGE_DOCUMENTS - 1):
        breaker.failed(2.0, 1.5, f"doc-{row}", DOWN)
    assert breaker.state is CLOSED
    assert breaker.failing_since == 2.0


def test_a_connection_that_failed_while_others_were_answered_opens_nothing() -> None:
    breaker = closed()
    breaker.succeeded(5.0, left_at=4.0, in_flight=10)
    breaker.failed(11.0, 1.0, "doc-0", REFUSED)
    assert breaker.state is CLOSED
    assert not breaker.unreachable
    breaker.failed(11.0, 5.0, "doc-1", REFUSED)
    assert breaker.state is OPEN


@pytest.mark.parametrize("throttled", [False, True])
def test_an_answer_that_is_no_success_leaves_documents_counted_and_the_host_reachable(throttled: bool) -> None:
    breaker = probing(now=1.0)
    breaker.answered(1.5, left_at=1.0, in_flight=1, throttled=throttled)
    assert breaker.state is CLOSED
    assert not breaker.unreachable
    assert breaker.failing_since == 0.0


@pytest.mark.parametrize(
    ("retry_after_s", "outage_limit_s", "probes_at"),
    [
        (None, math.inf, 11.0),
        (0.5, math.inf, 11.0),
        (30.0, math.inf, 40.0),
        (300.0, 60.0, 70.0),
        (None, 0.5, 11.0),
    ],
    ids=["its own pause", "asked for less", "asked for more", "asked beyond the limit", "no limit"],
)
def test_nothing_leaves_until_a_probe_is_due(
    retry_after_s: float | None, outage_limit_s: float, probes_at: float
) -> None:
    breaker = closed(outage_limit_s)
    error = Unavailable("no", status=503, retry_after_s=retry_after_s, unreachable=True)
    breaker.failed(10.0, 9.0, "doc-0", error)
    assert breaker.wait_until() == probes_at
    assert breaker.holds_all(probes_at - 0.1)
    assert not breaker.admits(probes_at - 0.1, in_flight=0)
    assert not breaker.holds_all(probes_at)
    assert breaker.admits(probes_at, in_flight=0)
    assert breaker.state is HALF_OPEN


def test_pauses_grow_while_probes_fail_and_are_short_again_after_a_success() -> None:
    breaker, pauses = opened(now=0.0), []
    now = 1.0
    for row in range(4):
        assert breaker.admits(now, in_flight=0)
        breaker.left()
        breaker.failed(now, now, f"doc-{row}", DOWN)
        pauses.append((breaker.wait_until() or 0.0) - now)
        now += pauses[-1]
    assert pauses == [2.0, 4.0, 8.0, 16.0]
    breaker.admits(now, in_flight=0)
    breaker.succeeded(now, left_at=now, in_flight=1)
    breaker.failed(now + 5.0, now + 5.0, "doc-9", REFUSED)
    assert breaker.wait_until() == now + 6.0


def test_one_probe_leaves_and_another_only_when_that_one_was_given_up() -> None:
    breaker = probing(now=1.0)
    assert breaker.holds_all(1.0)
    assert not breaker.admits(1.5, in_flight=1)
    assert breaker.wait_until() is None
    breaker.probe_ended()
    assert not breaker.holds_all(1.5)
    assert breaker.admits(1.5, in_flight=0)


def test_once_closed_each_success_lets_one_more_be_in_flight() -> None:
    breaker = recovering(in_flight=1)
    assert [breaker.admits(2.0, in_flight=count) for count in (0, 7, 8, 9)] == [True, True, False, False]
    for more in range(1, 5):
        breaker.succeeded(3.0, left_at=2.5, in_flight=8)
        assert breaker.slots == 8 + more


def test_what_has_just_recovered_is_asked_at_most_twice_as_much_in_each_round() -> None:
    breaker, rounds = recovering(in_flight=1), []
    for now in range(2, 7):
        in_flight = 0
        while breaker.admits(float(now), in_flight):
            breaker.left()
            in_flight += 1
        rounds.append(in_flight)
        for landed in range(in_flight):
            breaker.succeeded(now + 1.0, left_at=float(now), in_flight=in_flight - landed)
    assert rounds == [8, 16, 32, 64, 128]


@pytest.mark.parametrize(("throttled", "slots"), [(True, 8), (False, 13)])
def test_refusals_let_more_be_in_flight_but_not_those_for_asking_too_much(throttled: bool, slots: int) -> None:
    breaker = recovering(in_flight=1)
    for _ in range(5):
        breaker.answered(3.0, left_at=2.5, in_flight=8, throttled=throttled)
    assert breaker.slots == slots


def test_slots_of_requests_that_hung_through_the_outage_vanish_when_those_fail() -> None:
    breaker = recovering(in_flight=101)
    assert breaker.slots == 108
    for row in range(100):
        breaker.failed(3.0, 0.0, f"doc-{row}", SLOW)
    assert breaker.state is CLOSED
    assert breaker.slots == 8


def test_fifty_attempts_are_judged_anew_after_it_closed() -> None:
    breaker = closed()
    for number in range(JUDGED_ATTEMPTS):
        breaker.failed(0.0, 0.0, f"doc-{number % 9}", DOWN)
    assert breaker.state is OPEN
    breaker.admits(1.0, in_flight=0)
    breaker.succeeded(2.0, left_at=1.0, in_flight=1)
    for number in range(JUDGED_ATTEMPTS - 1):
        breaker.failed(3.0, 2.5, f"doc-{number % 9}", DOWN)
    assert breaker.state is CLOSED
    breaker.failed(3.0, 2.5, "doc-0", DOWN)
    assert breaker.state is OPEN


@pytest.mark.parametrize("state", [OPEN, HALF_OPEN, CLOSED])
@pytest.mark.parametrize("answer", ["success", "refusal", "fault", "refused connection"])
def test_what_left_before_the_state_changed_leaves_it_as_it_is(state: BreakerState, answer: str) -> None:
    breaker = {OPEN: opened(10.0), HALF_OPEN: probing(10.0), CLOSED: recovering(10.0)}[state]
    before = (breaker.state, breaker.outage, breaker.failing_since, breaker.wait_until(), breaker.holds_all(10.0))
    for row in range(100):
        if answer == "success":
            breaker.succeeded(10.5, left_at=5.0, in_flight=50)
        elif answer == "refusal":
            breaker.answered(10.5, left_at=5.0, in_flight=50, throttled=False)
        else:
            breaker.failed(10.5, 5.0, f"doc-{row}", DOWN if answer == "fault" else REFUSED)
    after = (breaker.state, breaker.outage, breaker.failing_since, breaker.wait_until(), breaker.holds_all(10.0))
    assert after == before


def test_an_attempt_that_left_in_the_instant_of_the_opening_does_not_close_it() -> None:
    breaker = opened(now=10.0)
    breaker.succeeded(10.2, left_at=10.0, in_flight=1)
    assert breaker.state is OPEN


def test_rest_forgets_failures_in_a_row_but_not_that_it_is_open() -> None:
    breaker = opened(now=0.0)
    breaker.forget_failures()
    assert breaker.state is OPEN
    assert not breaker.outage
    assert breaker.failing_since is None
    assert breaker.admits(1.0, in_flight=0)
