"""What happens on an engine's thread: submissions are admitted and stopped, their jobs served one after the other.

There are at most as many coroutines as requests in flight: a coroutine whose request is served goes on with the next.
Everything here runs on the loop's thread, except where it says otherwise.
"""

from __future__ import annotations

import asyncio

from prefect_llm.engine.asker import Asker
from prefect_llm.engine.attempts import Attempts
from prefect_llm.engine.delivery import Delivery
from prefect_llm.engine.failures.breaker import Breaker
from prefect_llm.engine.failures.policy import ResponsePolicy
from prefect_llm.engine.failures.provider_faults import ProviderFaults
from prefect_llm.engine.failures.retry import RetryPolicy
from prefect_llm.engine.scheduler import Scheduler
from prefect_llm.engine.sender import Sender
from prefect_llm.engine.serving import Serving
from prefect_llm.engine.submission import FallbackReason, Job, Submission
from prefect_llm.values.errors import Interrupted
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request

GRACE_S = 5.0
"""How long requests in flight may still end after a stop (docs/contract.md, Command line)."""


class Dispatcher:
    """One provider's requests on one event loop. `breaker`, `scheduler`, `policy` may be read on any thread."""

    def __init__(self, provider: Provider, loop: asyncio.AbstractEventLoop) -> None:
        retry_policy, sender = RetryPolicy(provider.retries), Sender(provider, loop)
        self._loop = loop

        self.breaker = Breaker(retry_policy.pause_s, provider.retries.outage_s)
        self.scheduler = Scheduler(provider.limits, sender.encoder, self.breaker, self._budget_changed)
        self.provider_faults = ProviderFaults(provider, self.breaker)
        self.policy = ResponsePolicy(provider, retry_policy, self.breaker, self.provider_faults)

        self._submissions: set[Submission] = set()
        self._serving = Serving()
        self._delivery = Delivery(self.scheduler, self.policy, self._submissions, self.stop, loop.time)
        self._asker = Asker(
            loop, sender, self.scheduler, self.policy, self.provider_faults, self._serving, self._delivery
        )
        self._timer: asyncio.TimerHandle | None = None

    async def close(self) -> None:
        """Cancel what is in flight, close connections."""
        for submission in list(self._submissions):
            submission.stop.set(Interrupted("the engine was closed"))
            self._serving.cancel(submission)

        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._asker.close()

    def admit(self, submission: Submission) -> None:
        """Begin to send its requests."""
        self._asker.submission_comes(idle=self.scheduler.idle)
        self._submissions.add(submission)
        submission.done.add_done_callback(lambda _: self._submissions.discard(submission))
        if submission.stop.error is not None:
            self.scheduler.remove(submission)
        elif not submission.backlog.open:
            self.scheduler.add(submission)
            self._pump()

    def accept_handover(self, submission: Submission, request: Request, attempts: Attempts) -> None:
        """Send a request that another provider's engine handed over, for the submission."""
        if submission.backlog.exhausted:
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
            self._loop.call_later(GRACE_S, self._serving.cancel, submission)

    def cancel(self, submission: Submission) -> None:
        """Send no more of it, and cancel what is in flight."""
        self._give_up_waiting(submission)
        self._serving.cancel(submission)

    def _give_up_waiting(self, submission: Submission) -> None:
        self.scheduler.remove(submission)
        submission.jobs_done(self._delivery.held.drop(submission))

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
            if not self._delivery.hand_over(waiting, FallbackReason.OUTAGE):
                waiting.submission.jobs_done()  # pending: its run was stopped meanwhile

        if any(self._serving.is_under_way(run) for run in self._delivery.held.suspecting):
            return None  # what is in flight tells whether more may be asked
        while isinstance(decision := self.scheduler.next(now), Job):
            if decision.submission.stop.error is None:
                return decision
            self._turn_back(decision)
        if decision is not None:
            self._wake_at(decision)
        self._delivery.end_held()
        return None

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
                await self._asker.attempt(job)
                self._use_free_slots()
            except Exception as fault:  # a receiver's failed write, or a bug of this room, ends its chunk loudly
                self._end_by_fault(job, fault)
            finally:
                job.forfeit()  # cancelled, or a bug: nothing else leaves it reserved
                self.scheduler.release_slot(job)
            job = self._next_job()

    def _use_free_slots(self) -> None:
        """Where slots are free, more may leave than the job that this coroutine goes on with."""
        if self.scheduler.in_flight < self.scheduler.in_flight_limit:
            self._loop.call_soon(self._pump)

    def _served(self, task: asyncio.Task[None]) -> None:
        job = self._serving.pop(task)
        if task.cancelled():
            job.forfeit()  # where it was cancelled before it began
            self.scheduler.release_slot(job)
            job.submission.jobs_done()
            self._pump()

    def _end_by_fault(self, job: Job, fault: Exception) -> None:
        job.submission.fault = job.submission.fault or fault
        self.cancel(job.submission)
        job.submission.jobs_done()
