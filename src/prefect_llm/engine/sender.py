"""One provider's requests on the wire: sent, timed, recorded, and their answers read. Lives on the engine's loop."""

from __future__ import annotations

import asyncio

from prefect_llm.engine.failures.verdicts import StopRun, Verdict, fallback_reason
from prefect_llm.engine.limits.endpoint_time import EndpointTime
from prefect_llm.engine.missing_model import explained, may_be_the_model
from prefect_llm.engine.redaction import redacted
from prefect_llm.engine.submission import Job
from prefect_llm.engine.transport import Transport, open_transport
from prefect_llm.system import telemetry
from prefect_llm.system.telemetry_conventions import RequestAttempt
from prefect_llm.values.errors import RequestError, RunError
from prefect_llm.values.outcome import Completion
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request
from prefect_llm.wire.formats import format_of
from prefect_llm.wire.http import Answer


class Sender:
    """Asks one provider. `encoder` makes bodies as it has learned them from the provider's refusals."""

    def __init__(self, provider: Provider, loop: asyncio.AbstractEventLoop) -> None:
        self._provider = provider
        self._loop = loop
        self._format = format_of(provider)
        self.encoder = self._format.encoder(provider)
        self._endpoint_time = EndpointTime()
        self._recorder: telemetry.Recorder | None = None
        self._explanations: dict[str, asyncio.Task[RunError]] = {}
        self._transport: Transport | None = None

    async def close(self) -> None:
        """Close connections."""
        if self._transport is not None:
            await self._transport.close()

    def find_recorder(self) -> None:
        """Record by the exporter that there is now."""
        self._recorder = telemetry.recorder()

    def forget_explanations(self) -> None:
        """Look again why a model is missing."""
        self._explanations.clear()

    async def ask(
        self, job: Job, request: Request, body: bytes, *, within_s: float | None = None, keep_raw: bool = False
    ) -> tuple[Answer, Completion]:
        """Send a request for the job: its own, or one in its place. Raises the `RequestError` that came of it."""
        answer = redacted(await self._post(job, request, body, within_s), self._provider)
        return answer, self._format.decode(answer, request, keep_raw=keep_raw)

    async def _post(self, job: Job, request: Request, body: bytes, within_s: float | None) -> Answer:
        if self._transport is None:
            self._transport = open_transport(self._provider)
        entered = self._endpoint_time.enter(self._loop.time())
        try:
            return await self._transport.post(self._format.url(self._provider, request), body, within_s)
        except asyncio.CancelledError:
            job.lose()
            raise
        finally:
            job.attempts.endpoint_s += self._endpoint_time.leave(self._loop.time(), entered)

    def is_respelled(self, job: Job, error: RequestError) -> bool:
        """Whether the refusal teaches another body, which then leaves at once: the document had no part in it."""
        if not self.encoder.learns_from(job.request, error):
            return False
        refused, job.body = job.body, self.encoder(job.request)
        return job.body != refused

    async def explained(self, job: Job, error: RequestError, verdict: Verdict) -> Verdict:
        """The verdict; a stop that may be the model's in better words, looked up once for all."""
        if not isinstance(verdict, StopRun) or not may_be_the_model(job.request, error, verdict.error):
            return verdict
        if self._transport is None:
            return verdict

        model = job.request.parameters.model
        if (explanation := self._explanations.get(model)) is None:
            looking = explained(self._transport, self._provider, job.request, error, verdict.error)
            explanation = self._explanations[model] = self._loop.create_task(looking)
        run_error = await asyncio.shield(explanation)
        return StopRun(run_error, fallback_reason(run_error))

    def record(self, job: Job, end: Completion | RequestError, latency_s: float) -> None:
        """Tell telemetry of an attempt."""
        if self._recorder is not None:
            attempt = RequestAttempt(
                self._format.operation, job.request, job.attempts.sent, latency_s, end, job.submission.trace
            )
            self._recorder.attempt(self._provider, attempt)
