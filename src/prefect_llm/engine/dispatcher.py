"""What happens on an engine's thread: jobs are started, attempted, decided on and delivered.

There are at most as many coroutines as requests in flight: a coroutine whose request is served goes on with the next.
Everything here runs on the loop's thread, except where it says otherwise.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from prefect_llm.engine.attempts import Attempts
from prefect_llm.engine.failures.breaker import Breaker
from prefect_llm.engine.failures.policy import ResponsePolicy
from prefect_llm.engine.failures.provider_faults import ProviderFaults
from prefect_llm.engine.failures.retry import RetryPolicy
from prefect_llm.engine.failures.verdicts import Decision, Fail, Hold, StopRun, Verdict
from prefect_llm.engine.held import HeldDocuments
from prefect_llm.engine.scheduler import Scheduler
from prefect_llm.engine.sender import Sender
from prefect_llm.engine.submission import FallbackReason, Job, Submission
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import (
    Interrupted,
    ModelNotFound,
    Rejected,
    RequestError,
    RequestRefused,
)
from prefect_llm.values.outcome import Completion, Outcome
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request
from prefect_llm.wire.http import Answer

GRACE_S = 5.0
"""How long requests in flight may still end after a stop (docs/contract.md, Command line)."""
OWN_CHOICE = (ModelNotFound, RequestRefused)
"""What one run asked for and others at the same provider may not have."""


class Dispatcher:
    """One provider's requests on one event loop. `breaker`, `scheduler`, `policy` may be read on any thread."""

    def __init__(self, provider: Provider, loop: asyncio.AbstractEventLoop) -> None:
        retry_policy = RetryPolicy(provider.retries)
        self._loop = loop
        self._sender = Sender(provider, loop)

        self.breaker = Breaker(retry_policy.pause_s, provider.retries.outage_s)
        self.scheduler = Scheduler(provider.limits, self._sender.encoder, self.breaker, self._budget_changed)
        self.provider_faults = ProviderFaults(provider, self.breaker)
        self.policy = ResponsePolicy(provider, retry_policy, self.breaker, self.provider_faults)

        self._submissions: set[Submission] = set()
        self._serving: dict[asyncio.Task[None], Job] = {}
        self._held = HeldDocuments()
        self._models_gone: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def close(self) -> None:
        """Cancel what is in flight, close connections."""
        for submission in list(self._submissions):
            submission.stop.set(Interrupted("the engine was closed"))
            self._cancel_in_flight(submission)

        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._sender.close()

    def admit(self, submission: Submission) -> None:
        """Begin to send its requests."""
        self._sender.find_recorder()
        if self.scheduler.idle:
            self.policy.forget_failures()
            self._models_gone.clear()
            self._sender.forget_explanations()

        self._submissions.add(submission)
        submission.done.add_done_callback(lambda _: self._submissions.discard(submission))
        if submission.stop.error is not None:
            self.scheduler.remove(submission)
        elif not submission.open:
            self.scheduler.add(submission)
            self._pump()

    def accept_handover(self, submission: Submission, request: Request, attempts: Attempts) -> None:
        """Send a request that another provider's engine handed over, for the submission."""
        if submission.exhausted:
            return  # given up in the meantime: its document stays pending
        try:
            self.scheduler.accept_handover(submission, request, attempts, self._loop.time())
        except Exception as fault:  # a request that cannot be written as JSON
            submission.fault = fault
            self.cancel(submission)
        self._pump()

    def stop(self, submission: Submission) -> None:
        """Send no more of it. What is in flight may still end, for `GRACE_S`."""
        self._give_up_waiting(submission)
        self._loop.call_soon(self._pump)  # its waiting retries may have kept others from leaving
        if not submission.done.done():
            self._loop.call_later(GRACE_S, self._cancel_in_flight, submission)

    def cancel(self, submission: Submission) -> None:
        """Send no more of it, and cancel what is in flight."""
        self._give_up_waiting(submission)
        self._cancel_in_flight(submission)

    def _give_up_waiting(self, submission: Submission) -> None:
        self.scheduler.remove(submission)
        submission.jobs_done(self._held.drop(submission))

    def set_share(self, share: float) -> None:
        """Keep to this share of the provider's limits."""
        self.scheduler.share = share
        self._pump()

    def _budget_changed(self) -> None:
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
        for waiting in self.scheduler.take_for_fallback(now):
            if not self._hand_over(waiting, FallbackReason.OUTAGE):
                waiting.submission.jobs_done()  # pending: its run was stopped meanwhile

        if any(self._is_under_way(run) for run in self._held.suspecting):
            return None  # what is in flight tells whether more may be asked
        while isinstance(decision := self.scheduler.next(now), Job):
            if decision.submission.stop.error is None:
                return decision
            self._turn_back(decision)
        if decision is not None:
            self._wake_at(decision)
        self._end_held()
        return None

    def _is_under_way(self, run: StopFlag, but: Job | None = None) -> bool:
        """Whether requests of the run are in flight, other than that one."""
        in_flight = (job for job in self._serving.values() if job.slot is not None and job is not but)
        return any(job.submission.stop is run for job in in_flight)

    def _end_held(self) -> None:
        """Held documents fail once their run has an answer, or nothing else to ask."""
        for run in self._held.runs:
            ours = [each for each in self._submissions if each.stop is run]
            asks_more = any(not (each.exhausted or each.open) for each in ours)
            left = asks_more or sum(each.unfinished for each in ours) > self._held.of(run)
            if not left or any(map(self.policy.has_answer, ours)):
                for held in self._held.take_run(run):
                    self._deliver(held.job, held.hold.fail, held.latency_s)

    def _turn_back(self, job: Job) -> None:
        """Its run was stopped a moment ago: the loop has not come to `stop`, where answers come at once."""
        job.release()
        self.scheduler.release_slot(job)
        self.scheduler.remove(job.submission)
        job.submission.jobs_done()

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
            except Exception as fault:  # a receiver's failed write, or a bug of this module, ends its chunk loudly
                self._end_by_fault(job, fault)
            finally:
                job.forfeit()  # cancelled, or a bug: nothing else leaves it reserved
                self.scheduler.release_slot(job)
            job = self._next_job()

    def _served(self, task: asyncio.Task[None]) -> None:
        job = self._serving.pop(task)
        if task.cancelled():
            job.forfeit()  # where it was cancelled before it began
            self.scheduler.release_slot(job)
            job.submission.jobs_done()
            self._pump()

    async def _attempt(self, job: Job) -> None:
        """Send it once, and act on what comes back."""
        if job.request.parameters.model in self._models_gone and self._hand_over(job, FallbackReason.MODEL_GONE):
            job.release()
            return

        now = self._loop.time()
        self.policy.attempt_left(now, job, self.scheduler.in_flight)
        time_left_s = self.policy.time_left_s(now, job)
        if time_left_s is not None and time_left_s <= 0:
            job.release()
            self._deliver(job, self.policy.overdue(), None)
            return

        if (probe := self.policy.probe_for(job)) is not None:
            await self._probe(job, probe)
            return

        attempts = job.attempts
        attempts.sent += 1
        attempts.started_at_us = attempts.started_at_us or _now_us()
        job.submission.sent(attempts.sent)

        began = time.perf_counter()
        try:
            answer, completion = await self._sender.ask(
                job, job.request, job.body, within_s=time_left_s, keep_raw=job.submission.keep_raw
            )
        except RequestError as error:
            await self._attempt_failed(job, error, time.perf_counter() - began)
        else:
            self._attempt_succeeded(job, answer, completion, time.perf_counter() - began)

    async def _probe(self, job: Job, probe: Request) -> None:
        """Ask what was answered before, in the job's place and for its money; then the job waits for another turn."""
        job.submission.sent(job.attempts.sent + 1)
        began = time.perf_counter()
        try:
            _, completion = await self._sender.ask(job, probe, self._sender.encoder(probe))
        except RequestError as error:
            job.fail(error)
            job.discard(error.completion)
            end: Completion | RequestError = error
            decision = self.policy.probe_failed(self._loop.time(), job, error, self.scheduler.in_flight)
        else:
            job.settle(completion)
            job.discard(completion)
            end = completion
            decision = self.policy.probe_succeeded(self._loop.time(), job, self.scheduler.in_flight)

        latency_s = time.perf_counter() - began
        self._sender.record(job, end, latency_s)
        self._carry_out(job, decision, latency_s)

    async def _attempt_failed(self, job: Job, error: RequestError, latency_s: float) -> None:
        now = self._loop.time()
        job.fail(error)
        self._sender.record(job, error, latency_s)
        if error.completion is not None and error.completion.usage is not None:
            self.scheduler.record_usage(now, job, error.completion.usage)
        if self._sender.is_respelled(job, error):
            self._retry(job, 0.0)
            return

        others = isinstance(error, Rejected) and self._is_under_way(job.submission.stop, but=job)
        decision = self.policy.failed(now, job, error, self.scheduler.in_flight, others_under_way=others)
        verdict = decision.verdict
        if not self.provider_faults.has_succeeded:
            verdict = await self._sender.explained(job, error, verdict)
        self._carry_out(job, replace(decision, verdict=verdict), latency_s, error.completion)

    def _attempt_succeeded(self, job: Job, answer: Answer, completion: Completion, latency_s: float) -> None:
        now = self._loop.time()
        job.settle(completion)
        self._sender.encoder.answered(job.request)
        self._sender.record(job, completion, latency_s)
        if completion.usage is not None:
            self.scheduler.record_usage(now, job, completion.usage)

        self.scheduler.apply(self.policy.succeeded(now, job, latency_s, self.scheduler.in_flight))
        self.scheduler.apply(self.policy.heed_rate_headers(now, job, answer.headers, time.time()))
        self._use_free_slots()
        self._deliver(job, completion, latency_s)
        self._end_held()

    def _use_free_slots(self) -> None:
        """Where slots are free, more may leave than the job that this coroutine goes on with."""
        if self.scheduler.in_flight < self.scheduler.in_flight_limit:
            self._loop.call_soon(self._pump)

    def _carry_out(
        self, job: Job, decision: Decision, latency_s: float, completion: Completion | None = None
    ) -> None:
        """Do to the job, and to all others, what was decided. `completion` came with the failure, and was billed."""
        self.scheduler.apply(decision.effects)
        self._carry_out_verdict(job, decision.verdict, latency_s, completion)
        self._use_free_slots()

    def _carry_out_verdict(self, job: Job, verdict: Verdict, latency_s: float, completion: Completion | None) -> None:
        if isinstance(verdict, StopRun):
            if verdict.why is FallbackReason.MODEL_GONE:
                self._models_gone.add(job.request.parameters.model)
            self._stop_runs(verdict, job.submission)
            held = [each.job for each in self._held.take_run(job.submission.stop)]
            for each in (job, *held):
                if verdict.why is None or not self._hand_over(each, verdict.why):
                    each.submission.jobs_done()  # pending: it was not its fault
        elif isinstance(verdict, Hold):
            if job.submission.stop.error is None:
                self._held.hold(job, verdict, latency_s)
            else:
                job.submission.jobs_done()  # pending: the run ends before it is known whose fault it was
        elif isinstance(verdict, Fail):
            if verdict.completion is None:
                job.discard(completion)  # its deadline passed: the answer was billed all the same
            if verdict.why is None or not self._hand_over(job, verdict.why):
                self._deliver(job, verdict, latency_s)
        else:
            job.discard(completion)
            self._retry(job, verdict.delay_s)

    def _retry(self, job: Job, delay_s: float) -> None:
        if job.submission.stop.error is not None:
            job.submission.jobs_done()  # pending: the run ends before its next attempt
        else:
            self.scheduler.schedule_retry(job, self._loop.time(), delay_s)

    def _hand_over(self, job: Job, why: FallbackReason) -> bool:
        """Hand it to the fallback, if one accepts it: it is then done here."""
        fallback = job.submission.fallback
        if fallback is None or not job.submission.has_fallback(why):
            return False
        fallback.accept(job, why)
        job.submission.jobs_done()
        return True

    def _deliver(self, job: Job, end: Completion | Fail, latency_s: float | None) -> None:
        attempts = job.attempts
        outcome = Outcome(
            completion=end.completion if isinstance(end, Fail) else end,
            failure=end.failure if isinstance(end, Fail) else None,
            attempts=attempts.sent,
            throttled=attempts.throttled,
            latency_ms=None if latency_s is None else latency_s * 1e3,
            queued_ms=attempts.queued_s * 1e3,
            started_at_us=attempts.started_at_us,
            finished_at_us=_now_us(),
            discarded=tuple(attempts.discarded),
            route=job.submission.route,
            lost=attempts.lost,
            endpoint_s=attempts.endpoint_s,
        )

        job.submission.deliver(job.request, outcome)
        job.submission.jobs_done()

    def _stop_runs(self, verdict: StopRun, asked: Submission) -> None:
        """Stop every run at this provider, or the one that chose what is refused; not those with a fallback.

        Of the run that asked, the submission at fault tells: its fallback may be another one of the run's here.
        """
        for submission in list(self._submissions):
            own = submission.stop is asked.stop
            concerned = own or not isinstance(verdict.error, OWN_CHOICE)
            telling = asked if own else submission
            if concerned and not (verdict.why is not None and telling.has_fallback(verdict.why)):
                submission.stop.set(verdict.error)
                self.stop(submission)

    def _end_by_fault(self, job: Job, fault: Exception) -> None:
        job.submission.fault = job.submission.fault or fault
        self.cancel(job.submission)
        job.submission.jobs_done()

    def _cancel_in_flight(self, submission: Submission) -> None:
        """Cancel its requests in flight; not the task that calls this, which is done with its job."""
        for task, job in self._serving.items():
            if job.submission is submission and task is not asyncio.current_task(self._loop):
                task.cancel()


def _now_us() -> int:
    return time.time_ns() // 1000
