"""One attempt at a document: it is sent, or a probe in its place; what comes back is recorded, judged, acted on."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from prefect_llm.engine.delivery import Delivery, now_us
from prefect_llm.engine.failures.policy import ResponsePolicy
from prefect_llm.engine.failures.provider_faults import ProviderFaults
from prefect_llm.engine.scheduler import Scheduler
from prefect_llm.engine.sender import Sender
from prefect_llm.engine.serving import Serving
from prefect_llm.engine.submission import FallbackReason, Job
from prefect_llm.values.errors import Rejected, RequestError
from prefect_llm.values.outcome import Completion
from prefect_llm.values.request import Request
from prefect_llm.wire.http import Answer


class Asker:
    """Asks one provider for one job at a time and coroutine."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sender: Sender,
        scheduler: Scheduler,
        policy: ResponsePolicy,
        provider_faults: ProviderFaults,
        serving: Serving,
        delivery: Delivery,
    ) -> None:
        self._loop = loop
        self._sender = sender
        self._scheduler = scheduler
        self._policy = policy
        self._provider_faults = provider_faults
        self._serving = serving
        self._delivery = delivery

    async def close(self) -> None:
        """Close connections."""
        await self._sender.close()

    def submission_comes(self, *, idle: bool) -> None:
        """Record by the exporter that there is now; where nothing was asked for a while, learn afresh."""
        self._sender.find_recorder()
        if idle:
            self._policy.forget_failures()
            self._delivery.forget_models_gone()
            self._sender.forget_explanations()

    async def attempt(self, job: Job) -> None:
        """Send it once, and act on what comes back."""
        if self._delivery.is_gone(job) and self._delivery.hand_over(job, FallbackReason.MODEL_GONE):
            job.release()
            return

        now = self._loop.time()
        self._policy.attempt_left(now, job, self._scheduler.in_flight)
        time_left_s = self._policy.time_left_s(now, job)
        if time_left_s is not None and time_left_s <= 0:
            job.release()
            self._delivery.deliver(job, self._policy.overdue(), None)
            return

        if (probe := self._policy.probe_for(job)) is not None:
            await self._probe(job, probe)
            return

        attempts = job.attempts
        attempts.sent += 1
        attempts.started_at_us = attempts.started_at_us or now_us()
        job.submission.receiver.sent(attempts.sent)

        began = time.perf_counter()
        try:
            answer, completion = await self._sender.ask(
                job, job.request, job.body, within_s=time_left_s, keep_raw=job.submission.keep_raw
            )
        except RequestError as error:
            await self._failed(job, error, time.perf_counter() - began)
        else:
            self._succeeded(job, answer, completion, time.perf_counter() - began)

    async def _probe(self, job: Job, probe: Request) -> None:
        """Ask what was answered before, in the job's place and for its money; then the job waits for another turn."""
        job.submission.receiver.sent(job.attempts.sent + 1)
        began = time.perf_counter()
        try:
            _, completion = await self._sender.ask(job, probe, self._sender.encoder(probe))
        except RequestError as error:
            job.fail(error)
            job.discard(error.completion)
            end: Completion | RequestError = error
            decision = self._policy.probe_failed(self._loop.time(), job, error, self._scheduler.in_flight)
        else:
            job.settle(completion)
            job.discard(completion)
            end = completion
            decision = self._policy.probe_succeeded(self._loop.time(), job, self._scheduler.in_flight)

        latency_s = time.perf_counter() - began
        self._sender.record(job, end, latency_s)
        self._delivery.carry_out(job, decision, latency_s)

    async def _failed(self, job: Job, error: RequestError, latency_s: float) -> None:
        now = self._loop.time()
        job.fail(error)
        self._sender.record(job, error, latency_s)
        if error.completion is not None and error.completion.usage is not None:
            self._scheduler.record_usage(now, job, error.completion.usage)
        if self._sender.is_respelled(job, error):
            self._delivery.retry(job, 0.0)
            return

        others = isinstance(error, Rejected) and self._serving.is_under_way(job.submission.stop, but=job)
        decision = self._policy.failed(now, job, error, self._scheduler.in_flight, others_under_way=others)
        verdict = decision.verdict
        if not self._provider_faults.has_succeeded:
            verdict = await self._sender.explained(job, error, verdict)
        self._delivery.carry_out(job, replace(decision, verdict=verdict), latency_s, error.completion)

    def _succeeded(self, job: Job, answer: Answer, completion: Completion, latency_s: float) -> None:
        now = self._loop.time()
        job.settle(completion)
        self._sender.encoder.answered(job.request)
        self._sender.record(job, completion, latency_s)
        if completion.usage is not None:
            self._scheduler.record_usage(now, job, completion.usage)

        self._scheduler.apply(self._policy.succeeded(now, job, latency_s, self._scheduler.in_flight))
        self._scheduler.apply(self._policy.heed_rate_headers(now, job, answer.headers, time.time()))
        self._delivery.deliver(job, completion, latency_s)
        self._delivery.end_held()
