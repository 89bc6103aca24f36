"""Whatever happens in whatever order, the scheduler keeps its rules: held against a model of them by hypothesis."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.engine.submitting import requests, slot_of

from prefect_llm.engine.failures.breaker import Breaker, BreakerState
from prefect_llm.engine.scheduler import RETRY_SHARE, WAITING_ALWAYS_ALLOWED, Scheduler
from prefect_llm.engine.submission import Backlog, Job, Receiver, Submission
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import Unavailable
from prefect_llm.values.provider import Limits
from prefect_llm.values.request import Request

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
    """Chunks come, answers come, documents are asked again, runs are stopped, limits change, time passes.

    What the breaker says is taken from it: it has a model of its own.
    """

    chunks = Bundle("chunks")

    @initialize(
        target=chunks,
        concurrency=st.integers(1, 12),
        rate=st.none() | st.integers(1, 300),
        count=st.integers(0, 60),
    )
    def open(self, concurrency: int, rate: int | None, count: int) -> Chunk:
        """A scheduler with its first chunk."""
        self.rate, self.most = rate, concurrency
        self.breaker = Breaker(lambda openings: 4.0 * openings)
        limits = Limits(concurrency, requests_per_minute=rate)
        self.scheduler = Scheduler(limits, lambda request: b"x" * 40, self.breaker)
        self.now, self.cool_until, self.first = 0.0, 0.0, 0
        self.known: list[Chunk] = []
        self.jobs: dict[str, tuple[Chunk, Job]] = {}
        self.left_at: list[float] = []
        return self._added(count)

    @rule(target=chunks, count=st.integers(0, 15))
    def add(self, count: int) -> Chunk:
        """Another chunk is queued."""
        return self._added(count)

    def _added(self, count: int) -> Chunk:
        chunk = Chunk(Submission(Backlog(iter(())), Receiver(lambda *_: None), StopFlag()))
        chunk.submission.backlog.requests = self._drawing(chunk, self.first, count)
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
        self.scheduler.set_concurrency(concurrency)

    @rule(share=st.sampled_from([0.0, 0.25, 0.5, 1.0]))
    def change_share(self, share: float) -> None:
        """Another process came or went."""
        self.scheduler.share = share

    @rule()
    def depart(self) -> None:
        """Everyone leaves who may; whoever is left knows when to ask again."""
        while isinstance(decision := self.scheduler.next(self.now), Job):
            self._leaves(decision)
        assert decision is None or decision > self.now
        if decision is None:
            something_left = any(chunk.waiting or chunk.heads or not chunk.exhausted for chunk in self.known)
            assert not something_left or self._is_full()

    @precondition(lambda self: self.jobs)
    @rule(choice=st.randoms(use_true_random=False))
    def answer(self, choice: object) -> None:
        """One in flight has its answer."""
        self._end(self._one(choice))

    @precondition(lambda self: self.jobs)
    @rule(choice=st.randoms(use_true_random=False))
    def cancel(self, choice: object) -> None:
        """One in flight is given up: nothing is learnt."""
        self._gives_up(self._one(choice))

    @precondition(lambda self: self.jobs)
    @rule(choice=st.randoms(use_true_random=False), delay_s=SECONDS, unreachable=st.booleans())
    def fail(self, choice: object, delay_s: float, unreachable: bool) -> None:
        """One in flight is to be asked again, or given up where its run has stopped."""
        self._fails(self._one(choice), delay_s, Unavailable("no", unreachable=unreachable))

    @precondition(lambda self: self.jobs)
    @rule(choice=st.randoms(use_true_random=False), delay_s=SECONDS)
    def refuse(self, choice: object, delay_s: float) -> None:
        """One in flight is to be asked again for what is no fault of the provider's."""
        self._fails(self._one(choice), delay_s, None)

    @rule(delay_s=SECONDS)
    def fail_all(self, delay_s: float) -> None:
        """The endpoint is down for a moment."""
        for name in sorted(self.jobs):
            self._fails(name, delay_s, Unavailable("no"))

    @rule(rounds=st.integers(2, 9), delay_s=st.floats(10, 90))
    def outage(self, rounds: int, delay_s: float) -> None:
        """Whoever leaves fails, again and again."""
        for _ in range(rounds):
            self.depart()
            self.fail_all(delay_s)

    @precondition(lambda self: self.breaker.wait_until() is not None)
    @rule(lost=st.integers(0, 2))
    def probe(self, lost: int) -> None:
        """The pauses of the breaker and of a 429 are over; so many probes are given up."""
        self.now = max(self.now, self.breaker.wait_until() or 0.0, self.cool_until)
        self.depart()
        for _ in range(lost):
            for name in [name for name, (_, job) in self.jobs.items() if slot_of(job).is_probe]:
                self._gives_up(name)
            self.depart()

    @rule(chunk=chunks)
    def drop(self, chunk: Chunk) -> None:
        """A run is stopped."""
        self.scheduler.remove(chunk.submission)
        chunk.ended += len(chunk.waiting) + len(chunk.heads)
        chunk.waiting, chunk.heads, chunk.dropped, chunk.exhausted = {}, set(), True, True

    @invariant()
    def slots_are_counted(self) -> None:
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
        self.scheduler.share = 1.0
        for _ in range(2_000):
            decision = self.scheduler.next(self.now)
            if isinstance(decision, Job):
                self._leaves(decision)
            elif decision is not None:
                self.now = decision
            elif self.jobs:
                self._end(next(iter(self.jobs)))
            else:
                break
        assert self.scheduler.idle
        assert all(chunk.submission.done.done() for chunk in self.known)

    def _drawing(self, chunk: Chunk, first: int, count: int) -> Iterator[Request]:
        """The chunk's documents; each draw is held against the rules for new work."""
        for request in requests(count, first=first):
            waiting = [due for each in self.known for due in each.waiting.values()]
            due = min(waiting, default=self.now + 1) <= self.now
            assert not due or self._prefers_new(), "a new document before a retry that was due"
            assert len(waiting) < max(self.scheduler.concurrency, WAITING_ALWAYS_ALLOWED)
            assert not self._is_full(), "a document was drawn that cannot leave"
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
        assert not self._is_full()
        assert name in chunk.heads or chunk.waiting[name] <= self.now
        assert name not in self.jobs
        assert slot_of(job).is_retry == (name in chunk.waiting)
        assert slot_of(job).is_probe == (self.breaker.state is BreakerState.HALF_OPEN)
        if slot_of(job).is_retry and self.rate is None and self._prefers_new():
            waiting = sum(len(each.waiting) for each in self.known)
            too_many = waiting >= max(self.scheduler.concurrency, WAITING_ALWAYS_ALLOWED)
            assert too_many or all(each.exhausted for each in self.known), "a retry before a new document"
        chunk.heads.discard(name)
        chunk.waiting.pop(name, None)
        job.attempts.sent += 1
        self.jobs[name] = (chunk, job)
        self.left_at.append(self.now)

    def _is_full(self) -> bool:
        """Whether one more in flight would be too many: for the limits, or for a provider that is down."""
        share = self.scheduler.share
        most = (
            min(self.scheduler.concurrency, max(1, int(self.most * share)))
            if share < 1
            else self.scheduler.concurrency
        )
        if not share or len(self.jobs) >= most:
            return True
        if self.breaker.state is BreakerState.CLOSED:
            return len(self.jobs) >= self.breaker.slots
        return self.breaker.state is BreakerState.OPEN or any(slot_of(job).is_probe for _, job in self.jobs.values())

    def _prefers_new(self) -> bool:
        """Whether new documents go before retries: nothing succeeds, or half of what may leave are retries."""
        retries = sum(slot_of(job).is_retry for _, job in self.jobs.values())
        return self.breaker.doubtful or retries >= max(1, int(RETRY_SHARE * self.scheduler.in_flight_limit))

    def _fails(self, name: str, delay_s: float, error: Unavailable | None) -> None:
        """A fault of the provider's, or another failure that is asked again."""
        _, job = self.jobs[name]
        if error is not None:
            self.breaker.failed(self.now, job.left_at, name, error)
        else:
            self.breaker.answered(self.now, job.left_at, len(self.jobs), throttled=True)
        chunk, job = self._landed(name)
        if chunk.dropped:
            chunk.ended += 1
            job.submission.jobs_done()
            return
        chunk.waiting[name] = self.now + delay_s
        self.scheduler.schedule_retry(job, self.now, delay_s)

    def _gives_up(self, name: str) -> None:
        chunk, job = self._landed(name)
        chunk.ended += 1
        job.submission.jobs_done()

    def _one(self, choice: object) -> str:
        return str(choice.choice(sorted(self.jobs)))  # type: ignore[attr-defined]

    def _landed(self, name: str) -> tuple[Chunk, Job]:
        chunk, job = self.jobs.pop(name)
        self.scheduler.release_slot(job)
        return chunk, job

    def _end(self, name: str) -> None:
        """A good answer."""
        _, job = self.jobs[name]
        self.breaker.succeeded(self.now, job.left_at, len(self.jobs))
        chunk, job = self._landed(name)
        chunk.ended += 1
        job.submission.jobs_done()


Scheduling.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestScheduling = Scheduling.TestCase
