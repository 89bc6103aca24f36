"""What happens on an engine's thread: every job that may leave is started, attempted, judged, delivered.

There are at most as many coroutines as requests in flight: a served request's coroutine goes on with the next one.
Everything here runs on the loop's thread, except where it says otherwise.
"""

from __future__ import annotations

import asyncio
import time

from prefect_llm.engine.failures.breaker import Breaker
from prefect_llm.engine.failures.classifier import FailureClassifier
from prefect_llm.engine.failures.policy import Fail, ResponsePolicy, StopRun, Verdict
from prefect_llm.engine.failures.retry import RetryPolicy
from prefect_llm.engine.limits.endpoint_time import EndpointTime
from prefect_llm.engine.redaction import redacted
from prefect_llm.engine.scheduler import Scheduler
from prefect_llm.engine.submission import FallbackReason, Job, Submission
from prefect_llm.engine.transport import Transport, open_transport
from prefect_llm.system import telemetry
from prefect_llm.values.errors import Interrupted, ModelNotFound, RequestError, RequestRefused
from prefect_llm.values.outcome import Completion, Outcome
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request
from prefect_llm.wire.formats import format_of
from prefect_llm.wire.http import Answer

GRACE_S = 5.0
"""How long requests in flight may still end after a stop (docs/contract.md, Command line)."""
OWN_CHOICE = (ModelNotFound, RequestRefused)
"""What one run asked for and others at the same provider may not have."""


class Dispatcher:
    """One provider's requests on one event loop. `breaker` and `scheduler` may be looked at from any thread."""

    def __init__(self, provider: Provider, loop: asyncio.AbstractEventLoop) -> None:
        self._provider = provider
        self._format = format_of(provider)
        policy = RetryPolicy(provider.retries)
        self.breaker = Breaker(policy.pause_s, provider.retries.outage_s)
        encode = self._format.encoder(provider)
        self.scheduler = Scheduler(provider.limits, encode, self.breaker, self._money_changed)
        self.health = FailureClassifier(provider, self.breaker)
        self._judge = ResponsePolicy(provider, policy, self.breaker, self.health, self.scheduler)
        self._occupancy = EndpointTime()
        self._recorder: telemetry.Recorder | None = None
        self._submissions: set[Submission] = set()
        self._serving: dict[asyncio.Task[None], Job] = {}
        self._gone: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: Transport | None = None
        self._loop = loop

    async def close(self) -> None:
        """Stop what is under way, close connections."""
        for submission in list(self._submissions):
            submission.stop.set(Interrupted("the engine was closed"))
            self._cancel(submission)
        await asyncio.gather(*self._serving, return_exceptions=True)
        if self._transport is not None:
            await self._transport.close()

    def admit(self, submission: Submission) -> None:
        """Begin to ask its requests."""
        self._recorder = telemetry.recorder()
        if self.scheduler.idle:
            self._judge.rest()
            self._gone.clear()
        self._submissions.add(submission)
        submission.done.add_done_callback(lambda _: self._submissions.discard(submission))
        if submission.stop.error is not None:
            self.scheduler.drop(submission)
        elif not submission.open:
            self.scheduler.add(submission)
            self._pump()

    def take_over(self, submission: Submission, request: Request, given: Job) -> None:
        """Ask a request that began elsewhere for the submission."""
        if submission.exhausted:
            return  # given up in the meantime: its document stays pending
        try:
            self.scheduler.hand(submission, request, given, self._loop.time())
        except Exception as fault:  # a request that cannot be written as JSON
            submission.fault = fault
            self.give_up(submission)
        self._pump()

    def set_share(self, share: float) -> None:
        """Hold to that part of the limits."""
        self.scheduler.share = share
        self._pump()

    def _money_changed(self) -> None:
        """A budget may have room again. Any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._unpark)

    def _unpark(self) -> None:
        self.scheduler.unpark()
        self._pump()

    def _pump(self) -> None:
        """Start every job that may leave now, and come back when the next one may."""
        while (job := self._next_job()) is not None:
            task = self._loop.create_task(self._serve(job))
            self._serving[task] = job
            task.add_done_callback(self._served)

    def _next_job(self) -> Job | None:
        now = self._loop.time()
        for waiting in self.scheduler.divertible(now):
            if not self._divert(waiting, FallbackReason.OUTAGE):
                waiting.submission.ended()  # pending: its run was stopped meanwhile
        while isinstance(decision := self.scheduler.next(now), Job):
            if decision.submission.stop.error is None:
                return decision
            self._turn_back(decision)
        if decision is not None:
            self._wake_at(decision)
        return None

    def _turn_back(self, job: Job) -> None:
        """Its run was stopped a moment ago: the loop has not come to halting it, where answers come at once."""
        job.release()
        self.scheduler.land(job)
        self.scheduler.drop(job.submission)
        job.submission.ended()

    def _wake_at(self, instant: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(instant, self._pump)

    async def _serve(self, job: Job | None) -> None:
        task = asyncio.current_task()
        assert task is not None
        while job is not None:
            self._serving[task] = job
            try:
                await self._attempt(job)
            except Exception as fault:  # a receiver's failed write, or a fault of ours, ends its chunk loudly
                self._fail(job, fault)
            finally:
                job.lose()  # cancelled, or a fault of ours: nothing else leaves it held
                self.scheduler.land(job)
            job = self._next_job()

    def _served(self, task: asyncio.Task[None]) -> None:
        job = self._serving.pop(task)
        if task.cancelled():
            job.lose()  # where it was cancelled before it began
            self.scheduler.land(job)
            job.submission.ended()
            self._pump()

    async def _attempt(self, job: Job) -> None:
        if job.request.parameters.model in self._gone and self._divert(job, FallbackReason.MODEL_GONE):
            job.release()
            return
        if self._transport is None:
            self._transport = open_transport(self._provider)
        now = self._loop.time()
        self._judge.left(now, job)
        time_left_s = self._judge.time_left_s(now, job)
        if time_left_s is not None and time_left_s <= 0:
            job.release()
            self._deliver(job, self._judge.overdue(), None)
            return
        job.attempts += 1
        job.started_at_us = job.started_at_us or _now_us()
        job.submission.sent(job.attempts)
        began = time.perf_counter()
        try:
            answer = redacted(await self._posted(job, self._transport, time_left_s), self._provider)
            completion = self._format.decode(answer, job.request, keep_raw=job.submission.keep_raw)
        except RequestError as error:
            latency_s = time.perf_counter() - began
            job.settle(error)
            self._record(job, error, latency_s)
            self._carry_out(job, self._judge.failed(self._loop.time(), job, error), latency_s)
            self._widen()
            return
        latency_s = time.perf_counter() - began
        now = self._loop.time()
        job.bill(completion)
        self._record(job, completion, latency_s)
        self._judge.answered(now, job, completion, latency_s)
        self._judge.heed(now, job, answer.headers, time.time())
        self._widen()
        self._deliver(job, completion, latency_s)

    async def _posted(self, job: Job, transport: Transport, time_left_s: float | None) -> Answer:
        entered = self._occupancy.enter(self._loop.time())
        try:
            url = self._format.url(self._provider, job.request)
            return await transport.post(url, job.body, time_left_s)
        finally:
            job.endpoint_s += self._occupancy.leave(self._loop.time(), entered)

    def _record(self, job: Job, end: Completion | RequestError, latency_s: float) -> None:
        if self._recorder is not None:
            attempt = telemetry.RequestAttempt(
                self._format.operation, job.request, job.attempts, latency_s, end, job.submission.trace
            )
            self._recorder.attempt(self._provider, attempt)

    def _widen(self) -> None:
        """Where places are free there is room for more than the job that this coroutine goes on with."""
        if self.scheduler.in_flight < self.scheduler.limit:
            self._loop.call_soon(self._pump)

    def _carry_out(self, job: Job, verdict: Verdict, latency_s: float) -> None:
        if isinstance(verdict, StopRun):
            if verdict.why is FallbackReason.MODEL_GONE:
                self._gone.add(job.request.parameters.model)
            self._stop(verdict, job.submission)
            if verdict.why is None or not self._divert(job, verdict.why):
                job.submission.ended()  # pending: it was not its fault
        elif isinstance(verdict, Fail):
            if verdict.why is None or not self._divert(job, verdict.why):
                self._deliver(job, verdict, latency_s)
        elif job.submission.stop.error is not None:
            job.submission.ended()  # pending: the run ends before its next attempt
        else:
            self.scheduler.again(job, self._loop.time(), verdict.delay_s)

    def _divert(self, job: Job, why: FallbackReason) -> bool:
        """Hand it to the fallback, if there is one: it has then ended here."""
        fallback = job.submission.fallback
        if fallback is None or not job.submission.diverts(why):
            return False
        fallback.take(job, why)
        job.submission.ended()
        return True

    def _deliver(self, job: Job, end: Completion | Fail, latency_s: float | None) -> None:
        outcome = Outcome(
            completion=end.completion if isinstance(end, Fail) else end,
            failure=end.failure if isinstance(end, Fail) else None,
            attempts=job.attempts,
            throttled=job.throttled,
            latency_ms=None if latency_s is None else latency_s * 1e3,
            queued_ms=job.queued_s * 1e3,
            started_at_us=job.started_at_us,
            finished_at_us=_now_us(),
            discarded=tuple(job.discarded),
            route=job.submission.route,
            lost=job.lost,
            endpoint_s=job.endpoint_s,
        )
        job.submission.deliver(job.request, outcome)
        job.submission.ended()

    def _stop(self, verdict: StopRun, asked: Submission) -> None:
        """Stop every run at this provider, or the one that chose what is refused; not those with a fallback."""
        for submission in list(self._submissions):
            concerned = submission.stop is asked.stop or not isinstance(verdict.error, OWN_CHOICE)
            if concerned and not (verdict.why is not None and submission.diverts(verdict.why)):
                submission.stop.set(verdict.error)
                self.halt(submission)

    def halt(self, submission: Submission) -> None:
        """Take no new work of it; what is in flight may still end, for `GRACE_S`."""
        self.scheduler.drop(submission)
        self._loop.call_soon(self._pump)  # its waiting retries may have kept others from leaving
        if not submission.done.done():
            self._loop.call_later(GRACE_S, self._cancel, submission)

    def _fail(self, job: Job, fault: Exception) -> None:
        job.submission.fault = job.submission.fault or fault
        self.give_up(job.submission)
        job.submission.ended()

    def give_up(self, submission: Submission) -> None:
        """Drop what waits of it and cancel what is in flight."""
        self.scheduler.drop(submission)
        self._cancel(submission)

    def _cancel(self, submission: Submission) -> None:
        """Give up what is in flight; not the task that asks for it, which is done with its job."""
        for task, job in self._serving.items():
            if job.submission is submission and task is not asyncio.current_task(self._loop):
                task.cancel()


def _now_us() -> int:
    return time.time_ns() // 1000
