"""An endpoint's bad minutes, with a real one: the run waits, asks little meanwhile, goes on by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from tests.engine.submitting import Asked, ask, provider_at, requests, run_on
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer, free_port, start_server
from tests.scripted_server.steps import Step

from prefect_llm.engine import Engine
from prefect_llm.values.errors import Interrupted
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.provider import Provider

CONCURRENCY = 16
BEFORE_IT_IS_KNOWN = CONCURRENCY + 10
"""Requests that may meet an outage before it is one: those in flight, and one each of ten documents."""
PROBES = 6
PATIENT: dict[str, Any] = {"attempt_s": 20, "max_attempts": 2, "backoff_s": 0.02, "max_backoff_s": 0.1}


@contextmanager
def running(provider: Provider, documents: int) -> Iterator[tuple[Future[None], Asked]]:
    """A run under way in a thread of its own; stopped where the test is over first."""
    asked, engine = Asked(), Engine(provider)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(run_on, engine, requests(documents), asked.deliver, asked.stop)
        try:
            yield run, asked
        finally:
            asked.stop.set(Interrupted("the test is over"))
    engine.close()


def not_ok(asked: Asked) -> list[str]:
    """Documents without an answer."""
    return [document for document, outcome in asked.outcomes.items() if not outcome.ok]


@pytest.mark.parametrize(
    "fault", [steps.status(503), steps.close_before_answer(), steps.reset()], ids=["503", "closed", "reset"]
)
def test_an_outage_in_the_middle_of_a_run_meets_few_requests_and_costs_no_document(
    scripted_server: ScriptedServer, fault: Step
) -> None:
    scripted_server.delay(0.01)
    provider = provider_at(scripted_server.base_url, concurrency=CONCURRENCY, **PATIENT)
    with running(provider, 400) as (run, asked):
        scripted_server.wait_for(answered=100)
        scripted_server.script_all(fault)
        begun = scripted_server.stats().requests
        scripted_server.wait_for(requests=begun + BEFORE_IT_IS_KNOWN + PROBES)
        scripted_server.script_all(steps.ok())
        run.result(timeout=20)
    assert len(asked.outcomes) == 400
    assert not_ok(asked) == []
    failed = [received for received in scripted_server.log() if received.status != 200]
    probes = failed[BEFORE_IT_IS_KNOWN:]
    assert len(probes) >= PROBES
    assert {received.in_flight for received in probes} == {1}, "more than one probe was under way"


def test_a_run_goes_on_one_pause_after_the_endpoint_is_back(scripted_server: ScriptedServer) -> None:
    provider = provider_at(scripted_server.base_url, concurrency=CONCURRENCY, **PATIENT)
    scripted_server.delay(0.01)
    with running(provider, 400) as (run, _):
        scripted_server.wait_for(answered=100)
        scripted_server.script_all(steps.status(503))
        begun = scripted_server.stats().requests
        scripted_server.wait_for(requests=begun + BEFORE_IT_IS_KNOWN + PROBES)
        scripted_server.script_all(steps.ok())
        run.result(timeout=20)
    log = scripted_server.log()
    last = max(number for number, received in enumerate(log) if received.status == 503)
    assert log[last + 1].received_at - log[last].received_at < PATIENT["max_backoff_s"] + 0.5
    assert log[last + 1].in_flight == 1


def test_an_endpoint_that_hangs_is_asked_one_at_a_time_until_it_answers(scripted_server: ScriptedServer) -> None:
    few, impatient = 4, PATIENT | {"attempt_s": 0.4}
    scripted_server.delay(0.01)
    with running(provider_at(scripted_server.base_url, concurrency=few, **impatient), 200) as (run, asked):
        scripted_server.wait_for(answered=50)
        scripted_server.script_all(steps.hang())
        begun = scripted_server.stats().requests
        scripted_server.wait_for(requests=begun + few + 10 + 3)
        scripted_server.script_all(steps.ok())
        run.result(timeout=20)
    assert len(asked.outcomes) == 200
    assert not_ok(asked) == []
    hung = [received for received in scripted_server.log() if received.status is None]
    # the first probe may hang beside the last of those before it
    assert {received.in_flight for received in hung[few + 10 + 1 :]} == {1}


def test_a_server_that_is_started_again_is_found_again() -> None:
    port = free_port()
    provider = provider_at(f"http://127.0.0.1:{port}/v1", concurrency=CONCURRENCY, **PATIENT)
    with ExitStack() as stack:
        with start_server(port) as server:
            server.delay(0.01)
            run, asked = stack.enter_context(running(provider, 400))
            server.wait_for(answered=100)
        with start_server(port) as same:
            run.result(timeout=20)
            asked_again = same.stats()
    assert len(asked.outcomes) == 400
    assert not_ok(asked) == []
    assert asked_again.requests <= 300 + CONCURRENCY


@pytest.mark.parametrize("concurrency", [1, 2, 3, CONCURRENCY])
def test_after_an_outage_as_many_are_in_flight_as_before(scripted_server: ScriptedServer, concurrency: int) -> None:
    scripted_server.script_all(steps.status(503))
    with running(provider_at(scripted_server.base_url, concurrency=concurrency, **PATIENT), 1000) as (
        run,
        asked,
    ):
        scripted_server.wait_for(requests=concurrency + 10 + PROBES)
        scripted_server.script_all(steps.ok())
        scripted_server.wait_for(answered=200)
        scripted_server.script_all(steps.hang())
        assert scripted_server.wait_for(in_flight=concurrency, timeout_s=5).in_flight == concurrency
        scripted_server.script_all(steps.ok())
        scripted_server.release()
        run.result(timeout=20)
    assert not_ok(asked) == []


def test_a_document_that_fails_again_and_again_ends_as_timeout_at_its_deadline(
    scripted_server: ScriptedServer,
) -> None:
    scripted_server.script({"doc-5": steps.status(503)})
    scripted_server.delay(0.005)
    began = time.monotonic()
    outcomes = ask(provider_at(scripted_server.base_url, deadline_s=0.4, max_attempts=1000), requests(300))
    outcome = outcomes["doc-5"]
    assert outcome.failure is not None
    assert outcome.failure.kind is ErrorKind.TIMEOUT
    assert "deadline of 0.4 s (last: " in outcome.failure.message
    received = scripted_server.requests_for("doc-5")
    assert outcome.attempts == len(received) > 2
    assert received[-1].received_at - received[0].received_at <= 0.4
    assert time.monotonic() - began < 5
    assert [document for document, other in outcomes.items() if not other.ok] == ["doc-5"]


@pytest.mark.parametrize("transport", ["pyreqwest", "httpx"])
def test_no_attempt_lasts_longer_than_what_is_left_of_its_documents_deadline(
    scripted_server: ScriptedServer, transport: str
) -> None:
    scripted_server.script({"doc-5": [steps.status(503), steps.hang()], "doc-7": steps.ok().after(0.2)})
    began = time.monotonic()
    outcomes = ask(
        provider_at(scripted_server.base_url, transport=transport, attempt_s=60, deadline_s=0.5, max_attempts=1000),
        requests(20),
    )
    assert time.monotonic() - began < 5
    outcome = outcomes["doc-5"]
    assert outcome.failure is not None
    assert outcome.failure.kind is ErrorKind.TIMEOUT
    assert outcome.attempts == 2
    assert outcome.latency_ms is not None
    assert outcome.latency_ms < 500
    assert [document for document, other in outcomes.items() if not other.ok] == ["doc-5"]
