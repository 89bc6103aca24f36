"""Whatever happens in whatever order, the scheduler keeps its rules: held against a model of them by hypothesis."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.engine.asking import requests

from prefect_llm.engine.breaker import Breaker
from prefect_llm.engine.scheduler import WAITING_ALWAYS_ALLOWED, Scheduler
from prefect_llm.engine.stop import Stop
from prefect_llm.engine.submission import Job, Submission
from prefect_llm.records import Limits, Request

SECONDS = st.floats(0, 90)


@dataclass(eq=False)
class Chunk:
    """What is known of one chunk from outside: where each of its documents is."""

    submission: Submission
    drawn: int = 0
    ended: int = 0
    exhausted: bool = False
    dropped: bool = False
    waiting: dict[str, float] = field(default_factory=dict)
    heads: set[str] = field(default_factory=set)


class Scheduling(RuleBasedStateMachine):
    """Chunks come, answers come, documents are asked again, runs are stopped, limits change, time passes."""

    chunks = Bundle("chunks")

    @initialize(
        concurrency=st.integers(1, 12),
        rate=st.none() | st.integers(1, 300),
    )
    def open(self, concurrency: int, rate: int | None) -> None:
        """A scheduler with nothing to do."""
        self.rate = rate
        self.scheduler = Scheduler(
            Limits(concurrency, requests_per_minute=rate), lambda request: b"x" * 40, Breaker(lambda _: 1.0)
        )
        self.now, self.cool_until, self.first = 0.0, 0.0, 0
        self.known: list[Chunk] = []
        self.jobs: dict[str, tuple[Chunk, Job]] = {}
        self.left_at: list[float] = []

    @rule(target=chunks, count=st.integers(0, 15))
    def add(self, count: int) -> Chunk:
        """Another chunk is queued."""
        chunk = Chunk(Submission(iter(()), lambda *_: None, Stop()))
        chunk.submission.requests = self._drawing(chunk, self.first, count)
        self.first += count
        self.known.append(chunk)
        self.scheduler.add(chunk.submission)
        return chunk

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule(seconds=SECONDS)
    def cool_down(self, seconds: float) -> None:
        """An answer was 429."""
        self.cool_until = max(self.cool_until, self.now + seconds)
        self.scheduler.cool_down(self.now + seconds)

    @rule(concurrency=st.integers(1, 12))
    def change_concurrency(self, concurrency: int) -> None:
        """The controller decided."""
        self.scheduler.concurrency = concurrency

    @rule()
    def depart(self) -> None:
        """Everyone leaves who may; whoever is left knows when to ask again."""
        while isinstance(decision := self.scheduler.next(self.now), Job):
            self._leaves(decision)
        assert decision is None or decision > self.now
        if decision is None:
            something_left = any(chunk.waiting or chunk.heads or not chunk.exhausted for chunk in self.known)
            assert not something_left or self.scheduler.in_flight >= self.scheduler.concurrency

    @precondition(lambda self: self.jobs)
    @rule(choice=st.randoms(use_true_random=False))
    def answer(self, choice: object) -> None:
        """One in flight has its answer."""
        chunk, job = self._landed(choice)
        chunk.ended += 1
        job.submission.ended()

    @precondition(lambda self: self.jobs)
    @rule(choice=st.randoms(use_true_random=False), delay_s=SECONDS)
    def fail(self, choice: object, delay_s: float) -> None:
        """One in flight is to be asked again, or given up where its run has stopped."""
        self._fails(*self._landed(choice), delay_s)

    @rule(delay_s=SECONDS)
    def fail_all(self, delay_s: float) -> None:
        """The endpoint is down for a moment."""
        for name in sorted(self.jobs):
            chunk, job = self.jobs.pop(name)
            self.scheduler.land(job)
            self._fails(chunk, job, delay_s)

    @rule(rounds=st.integers(2, 9), delay_s=st.floats(10, 90))
    def outage(self, rounds: int, delay_s: float) -> None:
        """Whoever leaves fails, again and again."""
        for _ in range(rounds):
            self.depart()
            self.fail_all(delay_s)

    @rule(chunk=chunks)
    def drop(self, chunk: Chunk) -> None:
        """A run is stopped."""
        self.scheduler.drop(chunk.submission)
        chunk.ended += len(chunk.waiting) + len(chunk.heads)
        chunk.waiting, chunk.heads, chunk.dropped, chunk.exhausted = {}, set(), True, True

    @invariant()
    def places_are_counted(self) -> None:
        """As many as are known to be in flight."""
        assert self.scheduler.in_flight == len(self.jobs)

    @invariant()
    def a_chunk_is_done_when_all_it_drew_has_ended(self) -> None:
        """No earlier, for an outcome would be lost, and no later, for its thread would wait."""
        for chunk in self.known:
            assert chunk.submission.done.done() == (chunk.exhausted and chunk.ended == chunk.drawn)

    @invariant()
    def no_minute_holds_more_than_the_rate(self) -> None:
        """The last minute."""
        if self.rate is not None:
            assert len(self.left_at) - bisect_right(self.left_at, self.now - 60.0 + 1e-6) <= self.rate

    def teardown(self) -> None:
        """If answers come from now on, every document ends, and nothing is left behind."""
        if not hasattr(self, "scheduler"):
            return
        for _ in range(2_000):
            decision = self.scheduler.next(self.now)
            if isinstance(decision, Job):
                self._leaves(decision)
            elif decision is not None:
                self.now = decision
            elif self.jobs:
                name, (chunk, job) = next(iter(self.jobs.items()))
                self._end(name, chunk, job)
            else:
                break
        assert self.scheduler.idle
        assert all(chunk.submission.done.done() for chunk in self.known)

    def _drawing(self, chunk: Chunk, first: int, count: int) -> Iterator[Request]:
        """The chunk's documents; each draw is held against the rules for new work."""
        for request in requests(count, first=first):
            waiting = [due for each in self.known for due in each.waiting.values()]
            assert min(waiting, default=self.now + 1) > self.now, "a new document before a retry that was due"
            assert len(waiting) < max(self.scheduler.concurrency, WAITING_ALWAYS_ALLOWED)
            assert len(self.jobs) < self.scheduler.concurrency, "a document was drawn that cannot leave"
            earlier = self.known[: self.known.index(chunk)]
            assert all(each.exhausted for each in earlier), "a chunk was drawn from before the one ahead of it"
            chunk.drawn += 1
            chunk.heads.add(request.document_id)
            yield request
        chunk.exhausted = True

    def _leaves(self, job: Job) -> None:
        name = job.request.document_id
        (chunk,) = (each for each in self.known if each.submission is job.submission)
        assert not chunk.dropped
        assert self.now >= self.cool_until
        assert len(self.jobs) < self.scheduler.concurrency
        assert name in chunk.heads or chunk.waiting[name] <= self.now
        assert name not in self.jobs
        chunk.heads.discard(name)
        chunk.waiting.pop(name, None)
        self.jobs[name] = (chunk, job)
        self.left_at.append(self.now)

    def _fails(self, chunk: Chunk, job: Job, delay_s: float) -> None:
        if chunk.dropped:
            chunk.ended += 1
            job.submission.ended()
            return
        chunk.waiting[job.request.document_id] = self.now + delay_s
        self.scheduler.again(job, self.now, delay_s)

    def _landed(self, choice: object) -> tuple[Chunk, Job]:
        name = choice.choice(sorted(self.jobs))  # type: ignore[attr-defined]
        chunk, job = self.jobs.pop(name)
        self.scheduler.land(job)
        return chunk, job

    def _end(self, name: str, chunk: Chunk, job: Job) -> None:
        del self.jobs[name]
        self.scheduler.land(job)
        chunk.ended += 1
        job.submission.ended()


Scheduling.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestScheduling = Scheduling.TestCase
