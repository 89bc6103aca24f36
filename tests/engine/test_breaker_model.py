"""Whatever answers come in whatever order, the breaker keeps to a simple model of itself: by hypothesis.

The model numbers the breaker's states and remembers in which of them each attempt left: no clock tells it what
is stale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from prefect_llm.engine.failures.breaker import FIRST_SLOTS, Breaker, BreakerState
from prefect_llm.values.errors import Unavailable

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
SECONDS = st.sampled_from([0.0, 0.25, 1.0, 3.0, 20.0])
CHOICES = st.integers(0, 10_000)


def pause_s(openings: int) -> float:
    """1, 2, 4, 8, 8, ... seconds."""
    return min(2.0 ** (openings - 1), 8.0)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One in flight: when and in which state, by number, it left."""

    number: int
    left_at: float
    left_in: int
    document: str
    is_probe: bool


@dataclass(slots=True)
class Model:
    """What the breaker must be."""

    state: BreakerState = CLOSED
    changes: int = 0
    failing: list[str] = field(default_factory=list)
    unreachable: bool = False
    answered_at: float = -math.inf
    recent: list[str] = field(default_factory=list)
    openings: int = 0
    probe_at: float = 0.0
    probe: int | None = None
    slots: float = math.inf

    def change(self, state: BreakerState) -> None:
        """Another state begins: what is in flight says nothing of it."""
        self.state, self.probe, self.changes = state, None, self.changes + 1

    def counts(self, attempt: Attempt) -> bool:
        """Whether it left in the present state, in which something may leave."""
        return self.state is not OPEN and attempt.left_in == self.changes

    def answer(self, now: float, in_flight: int, *, success: bool, takes_more: bool = True) -> None:
        """The endpoint is alive."""
        self.unreachable, self.answered_at = False, now
        if success:
            self.failing = []
            self.recent.append("good")
        if self.state is HALF_OPEN:
            self.change(CLOSED)
            self.openings, self.recent, self.slots = 0, [], in_flight + FIRST_SLOTS
        elif takes_more:
            self.slots += 1

    def fail(self, now: float, attempt: Attempt, error: Unavailable) -> None:
        """The endpoint failed."""
        self.failing.append(attempt.document)
        self.unreachable = error.unreachable and attempt.left_at >= self.answered_at
        self.recent.append("bad")
        last = self.recent[-50:]
        mostly = len(last) == 50 and last.count("bad") >= 40
        if self.state is HALF_OPEN or self.unreachable or len(set(self.failing)) >= 10 or mostly:
            self.openings += 1
            self.probe_at = now + max(pause_s(self.openings), error.retry_after_s or 0.0)
            self.change(OPEN)


class Breaking(RuleBasedStateMachine):
    """Requests leave where they may, answers of every sort come, probes are given up, time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.model = Breaker(pause_s), Model()
        self.now, self.number = 0.0, 0
        self.in_flight: list[Attempt] = []

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule(count=st.integers(1, 15), documents=st.integers(1, 12))
    def leave(self, count: int, documents: int) -> None:
        """So many want to leave; each leaves if the model lets it."""
        for _ in range(count):
            self._leaves(documents)

    @precondition(lambda self: self.in_flight)
    @rule(choice=CHOICES, count=st.integers(1, 15))
    def succeed(self, choice: int, count: int) -> None:
        """Good answers come."""
        for attempt in self._some(choice, count):
            self._succeeds(attempt)

    @precondition(lambda self: self.in_flight)
    @rule(choice=CHOICES, throttled=st.booleans())
    def refuse(self, choice: int, throttled: bool) -> None:
        """An answer comes that is no good one."""
        (attempt,) = self._some(choice, 1)
        if self.model.counts(attempt):
            self.model.answer(self.now, len(self.in_flight), success=False, takes_more=not throttled)
        self.breaker.answered(self.now, attempt.left_at, len(self.in_flight), throttled=throttled)
        self._lands(attempt)

    @precondition(lambda self: self.in_flight)
    @rule(
        choice=CHOICES,
        count=st.integers(1, 15),
        unreachable=st.sampled_from([False, False, False, True]),
        retry_after_s=st.sampled_from([None, None, 0.5, 30.0]),
    )
    def fail(self, choice: int, count: int, unreachable: bool, retry_after_s: float | None) -> None:
        """Faults come."""
        error = Unavailable("no", unreachable=unreachable, retry_after_s=retry_after_s)
        for attempt in self._some(choice, count):
            self._fails(attempt, error)

    @rule(rounds=st.integers(5, 60), good_of_ten=st.integers(0, 5), documents=st.integers(1, 9))
    def mostly_fail(self, rounds: int, good_of_ten: int, documents: int) -> None:
        """One after another leaves and fails, a few succeed."""
        for number in range(rounds):
            if (attempt := self._leaves(documents)) is None:
                return
            if number % 10 < good_of_ten:
                self._succeeds(attempt)
            else:
                self._fails(attempt, Unavailable("no"))

    @precondition(lambda self: self.in_flight)
    @rule(choice=CHOICES)
    def give_up(self, choice: int) -> None:
        """A request is cancelled: there is no answer to learn from."""
        self._lands(*self._some(choice, 1))

    @precondition(lambda self: not self.in_flight)
    @rule()
    def rest(self) -> None:
        """A run has ended, another begins later."""
        self.breaker.forget_failures()
        self.model.failing, self.model.unreachable = [], False

    @invariant()
    def it_is_what_the_model_says(self) -> None:
        """As far as others can see."""
        model = self.model
        assert self.breaker.state is model.state
        assert self.breaker.outage == (model.unreachable or len(set(model.failing)) >= 10)
        assert (self.breaker.failing_since is not None) == bool(model.failing)
        assert self.breaker.wait_until() == (model.probe_at if model.state is OPEN else None)
        waits = model.state is OPEN and self.now < model.probe_at
        assert self.breaker.holds_all(self.now) == (waits or model.probe is not None)
        if model.state is CLOSED:
            assert self.breaker.slots == model.slots

    @invariant()
    def at_most_one_probe_is_under_way(self) -> None:
        """While half-open; and none in another state."""
        left_since = [attempt for attempt in self.in_flight if attempt.left_in == self.model.changes]
        assert self.model.state is CLOSED or len(left_since) <= (self.model.state is HALF_OPEN)

    def teardown(self) -> None:
        """If only good answers come from now on, it closes, and then lets any number leave."""
        while self.in_flight:
            self._succeeds(self.in_flight[0])
        for _ in range(40):
            self.now = max(self.now, self.breaker.wait_until() or 0.0)
            attempt = self._leaves(documents=1)
            assert attempt is not None, "nothing is in flight, and still nothing may leave"
            self._succeeds(attempt)
            self.it_is_what_the_model_says()
        assert self.breaker.state is CLOSED
        assert self.breaker.admits(self.now, in_flight=40)

    def _leaves(self, documents: int) -> Attempt | None:
        """The attempt, if it may leave."""
        model = self.model
        if model.state is OPEN and self.now >= model.probe_at:
            model.change(HALF_OPEN)
        may = {CLOSED: len(self.in_flight) < model.slots, OPEN: False, HALF_OPEN: model.probe is None}[model.state]
        assert self.breaker.admits(self.now, len(self.in_flight)) == may
        if not may:
            return None
        self.number += 1
        is_probe = self.breaker.left()
        assert is_probe == (model.state is HALF_OPEN)
        attempt = Attempt(self.number, self.now, model.changes, f"doc-{self.number % documents}", is_probe)
        if model.state is HALF_OPEN:
            model.probe = attempt.number
        self.in_flight.append(attempt)
        return attempt

    def _succeeds(self, attempt: Attempt) -> None:
        if self.model.counts(attempt):
            self.model.answer(self.now, len(self.in_flight), success=True)
        self.breaker.succeeded(self.now, attempt.left_at, len(self.in_flight))
        self._lands(attempt)

    def _fails(self, attempt: Attempt, error: Unavailable) -> None:
        if self.model.counts(attempt):
            self.model.fail(self.now, attempt, error)
        elif self.model.state is CLOSED:
            self.model.slots = max(self.model.slots - 1, FIRST_SLOTS)
        self.breaker.failed(self.now, attempt.left_at, attempt.document, error)
        self._lands(attempt)

    def _lands(self, attempt: Attempt) -> None:
        """Its place is free again, as the scheduler says it: of a probe also to the breaker."""
        self.in_flight.remove(attempt)
        if self.model.probe == attempt.number:
            self.model.probe = None
        if attempt.is_probe:
            self.breaker.probe_ended()

    def _some(self, choice: int, count: int) -> list[Attempt]:
        """So many of those in flight, from one of them on."""
        first = choice % len(self.in_flight)
        return (self.in_flight[first:] + self.in_flight[:first])[:count]


Breaking.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestBreaking = Breaking.TestCase
