"""One provider's engine: an event loop on a thread of its own, to which any thread hands its chunk and waits.

Clients and limits belong to that loop, so chunks of many threads, flows and tasks share them. There are at
most as many coroutines as requests in flight: a served request's coroutine goes on with the next one.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait

from prefect_llm.engine.adaptive import AdaptiveConcurrency
from prefect_llm.engine.health import Health
from prefect_llm.engine.redaction import redacted
from prefect_llm.engine.retry import RetryPolicy
from prefect_llm.engine.scheduler import Job, Scheduler, Submission, unheard
from prefect_llm.engine.stop import Stop
from prefect_llm.engine.transport import Headers, Transport, check_provider, open_transport
from prefect_llm.engine.wire import chat, rates
from prefect_llm.errors import (
    Interrupted,
    ModelNotFound,
    RequestError,
    RequestRefused,
    Retryable,
    RunError,
    Throttled,
)
from prefect_llm.records import Completion, Failure, Outcome, Provider, Request

GRACE_S = 5.0
"""How long requests in flight may still end after a stop (CONTRACT: first signal)."""
OWN_CHOICE = (ModelNotFound, RequestRefused)
"""What one run asked for and others at the same provider may not have."""


class Engine:
    """Asks one provider. Open it with `engine_for`, which gives each provider one engine per process.

    Raises `InvalidInput` on an address or a header that cannot be used.
    """

    def __init__(self, provider: Provider) -> None:
        check_provider(provider)
        self.provider = provider
        self._limit_name = chat.output_limit_name(provider)
        self._policy = RetryPolicy(provider.patience)
        self._health = Health(provider)
        self._adaptive = AdaptiveConcurrency(provider.limits.max_concurrency) if provider.limits.adaptive else None
        self._scheduler = Scheduler(provider.limits, self._encode)
        self._submissions: set[Submission] = set()
        self._serving: dict[asyncio.Task[None], Job] = {}
        self._throttled_in_a_row = 0
        self._timer: asyncio.TimerHandle | None = None
        self._transport: Transport | None = None
        self._loop = _new_event_loop()
        name = f"llm-{provider.name}"
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(
        self,
        requests: Iterator[Request],
        deliver: Callable[[Request, Outcome], None],
        stop: Stop,
        *,
        keep_raw: bool = False,
        sent: Callable[[int], None] = unheard,
    ) -> None:
        """Ask every request; return when each has been delivered. Blocks the calling thread.

        `requests` is drawn, `sent` told the number of every attempt (from 1) and `deliver` called on the
        engine's thread, as places and answers come: none of them may block. Raises
        the `RunError` that stopped the run, or what one of the three raised; outcomes delivered before that
        are good.
        """
        submission = Submission(requests, deliver, stop, keep_raw, sent)

        def halt() -> None:
            self._loop.call_soon_threadsafe(self._halt, submission)

        self._loop.call_soon_threadsafe(self._admit, submission)
        stop.listen(halt)
        try:
            submission.done.result()
        except (KeyboardInterrupt, SystemExit):
            stop.set(Interrupted("interrupted; the same command goes on where it stopped"))
            wait([submission.done], timeout=GRACE_S + 1)
            raise
        finally:
            stop.forget(halt)

    def close(self) -> None:
        """Stop what is under way, close connections, end the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        for submission in list(self._submissions):
            submission.stop.set(Interrupted("the engine was closed"))
            self._cancel(submission)
        await asyncio.gather(*self._serving, return_exceptions=True)
        if self._transport is not None:
            await self._transport.close()

    # Everything below runs on the loop's thread.

    def _encode(self, request: Request) -> bytes:
        return chat.encode(request, limit_name=self._limit_name)

    def _admit(self, submission: Submission) -> None:
        if self._scheduler.idle:
            self._health.rest()
        self._submissions.add(submission)
        submission.done.add_done_callback(lambda _: self._submissions.discard(submission))
        if submission.stop.error is not None:
            self._scheduler.drop(submission)
            return
        self._scheduler.add(submission)
        self._pump()

    def _pump(self) -> None:
        """Start every job that may leave now, and come back when the next one may."""
        while (job := self._next_job()) is not None:
            task = self._loop.create_task(self._serve(job))
            self._serving[task] = job
            task.add_done_callback(self._served)

    def _next_job(self) -> Job | None:
        decision = self._scheduler.next(self._loop.time())
        if isinstance(decision, Job):
            return decision
        if decision is not None:
            self._wake_at(decision)
        return None

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
                self._scheduler.land(job)
            job = self._next_job()

    def _served(self, task: asyncio.Task[None]) -> None:
        job = self._serving.pop(task)
        if task.cancelled():
            self._scheduler.land(job)
            job.submission.ended()
            self._pump()

    async def _attempt(self, job: Job) -> None:
        if self._transport is None:
            self._transport = open_transport(self.provider, chat.PATH)
        job.attempts += 1
        job.started_at_us = job.started_at_us or _now_us()
        job.submission.sent(job.attempts)
        if self._adaptive is not None:
            self._adaptive.left(self._loop.time(), self._scheduler.in_flight)
        began = time.perf_counter()
        try:
            answer = redacted(await self._transport.post(job.body), self.provider)
            completion = chat.decode(answer, job.request, keep_raw=job.submission.keep_raw)
        except RequestError as error:
            self._failed(job, error, time.perf_counter() - began)
        else:
            latency_s = time.perf_counter() - began
            self._adapt(latency_s)
            self._heed(answer.headers, job)
            self._answered(job, completion)
            self._deliver(job, completion, None, latency_s)

    def _answered(self, job: Job, completion: Completion) -> None:
        self._health.succeeded()
        self._throttled_in_a_row = 0
        if (usage := completion.usage) is not None:
            used = (usage.input_tokens or 0) + (usage.output_tokens or 0)
            self._scheduler.settle(self._loop.time(), job, used)

    def _failed(self, job: Job, error: RequestError, latency_s: float) -> None:
        if error.completion is not None:
            self._answered(job, error.completion)
        now = self._loop.time()
        if (stopping := self._health.failed(now, job.request, error)) is not None:
            self._stop(stopping, job.submission)
            job.submission.ended()  # pending: it was not its fault
            return
        if isinstance(error, Retryable):
            self._adapt(None)
        if isinstance(error, Throttled):
            self._cool_down(job, error, now)
        delay_s = self._policy.delay_s(error, job.tries, outage=self._health.outage)
        if delay_s is None:
            self._deliver(job, error.completion, Failure(error.kind, error.message, error.status), latency_s)
        elif job.submission.stop.error is not None:
            job.submission.ended()  # pending: the run ends before its next attempt
        else:
            if error.completion is not None and error.completion.usage is not None:
                job.discarded.append(error.completion.usage)
            self._scheduler.again(job, now, delay_s)

    def _adapt(self, latency_s: float | None) -> None:
        """Tell the controller of a good answer, or of none, and hold as many in flight as it decides."""
        if self._adaptive is None:
            return
        now = self._loop.time()
        if latency_s is None:
            self._adaptive.pushed_back(now)
        else:
            self._adaptive.answered(now, latency_s)
        if self._adaptive.concurrency > self._scheduler.concurrency:
            self._loop.call_soon(self._pump)
        self._scheduler.concurrency = self._adaptive.concurrency

    def _heed(self, headers: Headers, job: Job) -> None:
        """Pause where the endpoint says that its bucket is empty, before it has to refuse anyone."""
        if (wait_s := rates.wait_s(headers, job.tokens, time.time())) > 0:
            self._scheduler.cool_down(self._loop.time() + wait_s)

    def _cool_down(self, job: Job, error: Throttled, now: float) -> None:
        """One pause for all: answers to requests that were under way when it began do not lengthen it."""
        job.throttled += 1
        if error.retry_after_s is None and self._scheduler.cooling(now):
            return
        if not self._scheduler.cooling(now):
            self._throttled_in_a_row += 1
        self._scheduler.cool_down(now + self._policy.cooldown_s(error, self._throttled_in_a_row))

    def _deliver(self, job: Job, completion: Completion | None, failure: Failure | None, latency_s: float) -> None:
        outcome = Outcome(
            completion=completion,
            failure=failure,
            attempts=job.attempts,
            throttled=job.throttled,
            latency_ms=latency_s * 1e3,
            queued_ms=job.queued_s * 1e3,
            started_at_us=job.started_at_us,
            finished_at_us=_now_us(),
            discarded=tuple(job.discarded),
        )
        job.submission.deliver(job.request, outcome)
        job.submission.ended()

    def _stop(self, error: RunError, asked: Submission) -> None:
        """Stop every run at this provider, or the one that chose what is refused: not one more request leaves."""
        for submission in list(self._submissions):
            if submission.stop is asked.stop or not isinstance(error, OWN_CHOICE):
                submission.stop.set(error)
                self._halt(submission)

    def _halt(self, submission: Submission) -> None:
        """Take no new work of it; what is in flight may still end, for `GRACE_S`."""
        self._scheduler.drop(submission)
        self._loop.call_soon(self._pump)  # its waiting retries may have kept others from leaving
        if not submission.done.done():
            self._loop.call_later(GRACE_S, self._cancel, submission)

    def _fail(self, job: Job, fault: Exception) -> None:
        job.submission.fault = job.submission.fault or fault
        self._scheduler.drop(job.submission)
        self._cancel(job.submission)
        job.submission.ended()

    def _cancel(self, submission: Submission) -> None:
        """Give up what is in flight; not the task that asks for it, which is done with its job."""
        for task, job in self._serving.items():
            if job.submission is submission and task is not asyncio.current_task(self._loop):
                task.cancel()


def _new_event_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def _now_us() -> int:
    return time.time_ns() // 1000
