"""What cannot succeed stops the run with one sentence; at most the requests in flight are wasted (promise 7)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.engine.submitting import SHORT_RETRIES, Asked, ask, provider_at, requests, run_for_at_most, run_on
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer, free_port
from tests.scripted_server.steps import Step

from prefect_llm.engine import Engine
from prefect_llm.values.errors import (
    AccountExhausted,
    AuthenticationFailed,
    EndpointNotFound,
    Interrupted,
    ModelNotFound,
    ProviderDown,
    RequestRefused,
    RunError,
)
from prefect_llm.values.request import AnswerFormat, Request

CONCURRENCY = 8
AT_ONCE: dict[str, tuple[Step, type[RunError]]] = {
    "401": (steps.status(401), AuthenticationFailed),
    "403": (steps.status(403), AuthenticationFailed),
    "402": (steps.status(402), AccountExhausted),
    "insufficient quota": (steps.error(429, "quota", code="insufficient_quota"), AccountExhausted),
    "unknown model": (steps.error(404, "no such model", code="model_not_found"), ModelNotFound),
    "unknown path": (steps.status(404, {"detail": "Not Found"}), EndpointNotFound),
    "redirect": (steps.status(301, headers={"location": "https://elsewhere/"}), EndpointNotFound),
}


@pytest.mark.parametrize("case", AT_ONCE)
def test_ten_thousand_documents_waste_at_most_the_requests_in_flight(
    scripted_server: ScriptedServer, case: str
) -> None:
    step, error = AT_ONCE[case]
    scripted_server.know_models("m")
    scripted_server.script_all(step)
    with pytest.raises(error) as stopped:
        ask(provider_at(scripted_server.base_url, concurrency=CONCURRENCY), requests(10_000))
    assert 1 <= sum(scripted_server.stats().by_document.values()) <= CONCURRENCY
    assert "\n" not in str(stopped.value)
    assert "127.0.0.1" in str(stopped.value)


def test_a_401_stops_even_after_successes(scripted_server: ScriptedServer) -> None:
    scripted_server.script({"doc-20": steps.status(401)})
    with pytest.raises(AuthenticationFailed):
        ask(provider_at(scripted_server.base_url, concurrency=1), requests(100))
    assert scripted_server.stats().requests == 21


def test_ten_404s_in_a_row_stop_a_run_that_had_succeeded(scripted_server: ScriptedServer) -> None:
    scripted_server.script({f"doc-{row}": steps.status(404) for row in range(5, 100)})
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url, concurrency=1))
    with pytest.raises(EndpointNotFound):
        run_on(engine, requests(100), asked.deliver, asked.stop)
    engine.close()
    assert scripted_server.stats().requests == 15
    assert len(asked.outcomes) == 14


def test_an_endpoint_that_knows_no_response_format_gets_one_clear_error(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.error(400, "Unknown parameter: 'response_format'.", param="response_format"))
    answer_format = AnswerFormat({"type": "object"}, lambda text: text)
    with pytest.raises(RequestRefused, match="response_format"):
        ask(provider_at(scripted_server.base_url), requests(50, answer_format=answer_format))
    assert scripted_server.stats().requests <= CONCURRENCY


def test_a_host_that_cannot_be_reached_stops_the_run_after_a_while() -> None:
    provider = provider_at(f"http://127.0.0.1:{free_port()}/v1")
    with pytest.raises(ProviderDown, match="cannot be reached"):
        ask(provider, requests(100))


@pytest.mark.parametrize("fault", [steps.status(500), steps.close_before_answer()], ids=["500", "closed"])
def test_an_outage_after_the_first_success_leaves_documents_pending(
    scripted_server: ScriptedServer, fault: Step
) -> None:
    scripted_server.delay(0.01)
    provider = provider_at(scripted_server.base_url, concurrency=16, outage_s=0.5)
    asked, engine = Asked(), Engine(provider)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(run_on, engine, requests(400), asked.deliver, asked.stop)
        scripted_server.wait_for(answered=10)
        scripted_server.script_all(fault)
        with pytest.raises(ProviderDown, match="nothing has succeeded"):
            run.result(timeout=10)
    engine.close()
    assert 10 <= len(asked.outcomes) < 400
    assert all(outcome.ok for outcome in asked.outcomes.values())


def test_an_outage_that_ends_costs_no_document(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.status(503))
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url, concurrency=40))
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(run_on, engine, requests(40), asked.deliver, asked.stop)
        scripted_server.wait_for(requests=40 + 9 * 5)
        scripted_server.script_all(steps.ok())
        run.result(timeout=10)
    engine.close()
    assert len(asked.outcomes) == 40
    assert all(outcome.ok for outcome in asked.outcomes.values())


def test_a_stop_from_elsewhere_ends_hanging_requests(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_llm.engine.dispatcher.GRACE_S", 0.1)
    scripted_server.script_all(steps.hang())
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url, attempt_s=60))

    def stop_when_under_way() -> None:
        scripted_server.wait_for(in_flight=CONCURRENCY)
        asked.stop.set(Interrupted("enough"))

    stopper = threading.Thread(target=stop_when_under_way)
    stopper.start()
    with pytest.raises(Interrupted, match="enough"):
        run_on(engine, requests(100), asked.deliver, asked.stop)
    stopper.join()
    engine.close()
    assert asked.outcomes == {}
    assert scripted_server.stats().requests == CONCURRENCY


def test_what_is_in_flight_at_a_stop_may_still_end(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.hang())
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url, attempt_s=60))

    def stop_then_release() -> None:
        scripted_server.wait_for(in_flight=CONCURRENCY)
        asked.stop.set(Interrupted("enough"))
        scripted_server.release()

    stopper = threading.Thread(target=stop_then_release)
    stopper.start()
    with pytest.raises(Interrupted):
        run_on(engine, requests(100), asked.deliver, asked.stop)
    stopper.join()
    engine.close()
    assert len(asked.outcomes) == CONCURRENCY


def test_a_run_stopped_before_it_began_asks_nothing(scripted_server: ScriptedServer) -> None:
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url))
    asked.stop.set(Interrupted("never mind"))
    with pytest.raises(Interrupted):
        run_on(engine, requests(100), asked.deliver, asked.stop)
    engine.close()
    assert scripted_server.stats().requests == 0


class DiskFullError(Exception):
    """What a receiver may raise."""


def test_an_iterators_fault_comes_out(scripted_server: ScriptedServer) -> None:
    def broken() -> object:
        yield from requests(3)
        raise DiskFullError("no more documents")

    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url))
    with pytest.raises(DiskFullError):
        run_on(engine, broken(), asked.deliver, asked.stop)  # type: ignore[arg-type]
    engine.close()
    assert len(asked.outcomes) == 3


def test_a_request_that_cannot_be_written_as_json_comes_out(scripted_server: ScriptedServer) -> None:
    def unwritable() -> Iterator[Request]:
        for request in requests(6):
            yield (
                replace(request, messages=({"role": "user", "content": "\ud800"},))
                if request.row_index == 4
                else request
            )

    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url))
    with pytest.raises(TypeError, match="UTF-8"):
        run_for_at_most(5, engine, unwritable(), asked)
    engine.close()
    assert sorted(asked.outcomes) == ["doc-0", "doc-1", "doc-2", "doc-3"]


def test_what_fails_after_a_stop_is_not_asked_again(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.hang(steps.status(503)))
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url, attempt_s=60))
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(run_on, engine, requests(100), asked.deliver, asked.stop)
        scripted_server.wait_for(in_flight=CONCURRENCY)
        asked.stop.set(Interrupted("enough"))
        scripted_server.release()
        assert isinstance(run.exception(timeout=5), Interrupted)
    engine.close()
    assert asked.outcomes == {}
    assert scripted_server.stats().requests == CONCURRENCY


@pytest.mark.parametrize("answered", [0, 7, 40])
def test_whenever_it_is_stopped_no_document_is_delivered_twice_and_none_afterwards(
    scripted_server: ScriptedServer, answered: int
) -> None:
    scripted_server.script({f"doc-{row}": [steps.status(503), steps.ok()] for row in range(0, 500, 3)})
    scripted_server.delay(0.01)
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url))
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(run_on, engine, requests(500), asked.deliver, asked.stop)
        scripted_server.wait_for(answered=answered)
        asked.stop.set(Interrupted("enough"))
        assert isinstance(run.exception(timeout=5), Interrupted)
        delivered = dict(asked.outcomes)
    stats = scripted_server.stats()
    engine.close()
    assert asked.outcomes == delivered
    assert len(delivered) <= stats.requests <= 500
    assert all(outcome.ok for outcome in delivered.values())


def test_one_document_that_meets_nothing_but_500_ends_in_its_own_row(scripted_server: ScriptedServer) -> None:
    scripted_server.script({"doc-49": steps.status(500)})
    provider = provider_at(scripted_server.base_url, outage_s=0.01)
    outcomes = ask(provider, requests(50))
    failures = {document: outcome.failure for document, outcome in outcomes.items() if outcome.failure is not None}
    assert [(name, failure.kind.value, failure.status) for name, failure in failures.items()] == [
        ("doc-49", "server_error", 500)
    ]
    assert outcomes["doc-49"].attempts == SHORT_RETRIES.max_attempts
