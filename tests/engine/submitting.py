"""Ask a scripted server through the engine, with waits short enough for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from typing import Any

import httpx

from prefect_llm.engine import Engine
from prefect_llm.engine.attempts import Slot
from prefect_llm.engine.budget import BudgetGate
from prefect_llm.engine.submission import Backlog, Job, Receiver, Submission, unheard
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import Interrupted
from prefect_llm.values.outcome import Outcome
from prefect_llm.values.provider import Limits, Provider, RetryOptions, Timeouts
from prefect_llm.values.request import AnswerFormat, Parameters, Request

SHORT_TIMEOUTS = Timeouts(attempt_s=0.4)
SHORT_RETRIES = RetryOptions(backoff_s=0.01, max_backoff_s=0.05, outage_s=30, first_connection_s=0.3)


def provider_at(base_url: str, *, concurrency: int = 8, transport: str = "pyreqwest", **changes: Any) -> Provider:
    """A provider with short waits. `transport` is pyreqwest or a user's httpx client.

    `changes` are fields of the provider, of its `Timeouts` or of its `RetryOptions`.
    """
    timeouts = replace(SHORT_TIMEOUTS, **_taken(changes, Timeouts))
    retries = replace(SHORT_RETRIES, **_taken(changes, RetryOptions))
    provider = Provider(base_url, limits=Limits(concurrency), timeouts=timeouts, retries=retries)

    if transport == "httpx":
        provider = replace(provider, http_client=httpx.AsyncClient)
    return replace(provider, **changes)


def _taken(changes: dict[str, Any], options: type[Timeouts] | type[RetryOptions]) -> dict[str, Any]:
    """Those of `changes` that are fields of `options`, taken out of it."""
    names = {field.name for field in fields(options)} & changes.keys()
    return {name: changes.pop(name) for name in names}


def requests(
    count: int, *, first: int = 0, model: str = "m", answer_format: AnswerFormat | None = None, **parameters: Any
) -> Iterator[Request]:
    """One request per document `doc-0`, `doc-1`, ..."""
    shaped = Parameters(model, answer_format=answer_format, **parameters)
    for row in range(first, first + count):
        messages = ({"role": "user", "content": f"doc-{row} hello"},)
        yield Request(row, f"doc-{row}", messages, shaped, f"fingerprint-{row}")


def slot_of(job: Job) -> Slot:
    """The slot of a job in flight."""
    assert job.slot is not None, f"{job.request.document_id} is not in flight"
    return job.slot


class Asked:
    """Outcomes by document; a document delivered twice fails the test."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.stop = StopFlag()

    def deliver(self, request: Request, outcome: Outcome) -> None:
        """Keep one outcome."""
        assert request.document_id not in self.outcomes, f"{request.document_id} was delivered twice"
        self.outcomes[request.document_id] = outcome


def run_on(
    engine: Engine,
    asked: Iterator[Request],
    deliver: Callable[[Request, Outcome], None],
    stop: StopFlag,
    *,
    keep_raw: bool = False,
    sent: Callable[[int], None] = unheard,
    budget: BudgetGate | None = None,
) -> None:
    """Ask every request of that engine; return when each has been delivered. Raises as `Engine.finish` does."""
    submission = Submission(Backlog(asked), Receiver(deliver, sent), stop, keep_raw, budget)
    engine.start(submission)
    engine.finish(submission)


def ask(provider: Provider, asked: Iterator[Request]) -> dict[str, Outcome]:
    """Outcomes by document, from an engine of its own."""
    result, engine = Asked(), Engine(provider)
    try:
        run_on(engine, asked, result.deliver, result.stop)
    finally:
        engine.close()
    return result.outcomes


def run_for_at_most(
    seconds: float, engine: Engine, asked_for: Iterator[Request], asked: Asked, budget: BudgetGate | None = None
) -> None:
    """Run it from a thread of its own, so that a run without an end fails its test and not the whole session."""
    pool = ThreadPoolExecutor(1)
    run = pool.submit(run_on, engine, asked_for, asked.deliver, asked.stop, budget=budget)
    pool.shutdown(wait=False)
    try:
        run.result(timeout=seconds)
    finally:
        asked.stop.set(Interrupted("the test is over"))
