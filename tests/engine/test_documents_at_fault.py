"""Documents that never get an answer are told from an outage by asking what was answered before."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from tests.engine.submitting import Asked, ask, provider_at, requests, run_for_at_most
from tests.engine.test_budget import Coins
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.scripted_server.steps import Step

from prefect_llm.engine import Engine
from prefect_llm.engine.failures.probe import KnownRequests
from prefect_llm.engine.submission import Backlog, Receiver, Submission
from prefect_llm.values.errors import ProviderDown, RequestRefused
from prefect_llm.values.outcome import Outcome
from prefect_llm.values.request import AnswerFormat, Parameters, Request

GREETING = ({"role": "user", "content": "Hi"},)
FAULTS: dict[str, tuple[Step, str, int | None]] = {
    "500": (steps.status(500), "server_error", 500),
    "503": (steps.status(503), "server_error", 503),
    "closed": (steps.close_before_answer(), "connection", None),
    "cut": (steps.close_mid_body(), "connection", None),
    "a timeout": (steps.hang(), "timeout", None),
}
IMPATIENT: dict[str, Any] = {"attempt_s": 0.15, "outage_s": 0.6}


def failed(outcomes: dict[str, Outcome]) -> dict[str, tuple[str, int | None]]:
    """Kind and status of each document without an answer."""
    failures = {document: outcome.failure for document, outcome in outcomes.items() if outcome.failure is not None}
    return {document: (failure.kind.value, failure.status) for document, failure in failures.items()}


def probes(server: ScriptedServer) -> list[dict[str, Any]]:
    """The bodies that asked for one token."""
    return [received.body for received in server.log() if received.body.get("max_tokens") == 1]


@pytest.mark.parametrize("where", ["first", "middle", "last"])
@pytest.mark.parametrize("fault", FAULTS)
def test_twenty_documents_that_always_fail_end_in_their_rows(
    scripted_server: ScriptedServer, fault: str, where: str
) -> None:
    step, kind, status = FAULTS[fault]
    begin = {"first": 2, "middle": 20, "last": 40}[where]
    at_fault = [f"doc-{row}" for row in range(begin, begin + 20)]
    scripted_server.script(dict.fromkeys(at_fault, step))
    began = time.monotonic()
    outcomes = ask(provider_at(scripted_server.base_url, **IMPATIENT), requests(60))
    assert time.monotonic() - began < 20
    assert len(outcomes) == 60
    assert failed(outcomes) == dict.fromkeys(at_fault, (kind, status))
    assert all(5 <= outcomes[document].attempts <= 25 for document in at_fault)
    assert scripted_server.stats().requests <= 40 + 20 * 8 + 30


@pytest.mark.parametrize("max_attempts", [1, 2, 3])
@pytest.mark.parametrize("fault", ["500", "a timeout"])
def test_a_document_that_always_fails_is_sent_at_most_twice_as_often_as_it_has_attempts(
    scripted_server: ScriptedServer, fault: str, max_attempts: int
) -> None:
    step, kind, status = FAULTS[fault]
    at_fault = [f"doc-{row}" for row in range(40, 80)]
    scripted_server.script(dict.fromkeys(at_fault, step))
    patience: dict[str, Any] = {"attempt_s": 0.15, "outage_s": 5.0, "max_attempts": max_attempts}
    outcomes = ask(provider_at(scripted_server.base_url, concurrency=40, **patience), requests(80))
    assert failed(outcomes) == dict.fromkeys(at_fault, (kind, status))
    assert max(outcomes[document].attempts for document in at_fault) <= 2 * max_attempts


def test_only_the_cheapest_answered_request_is_asked_again_and_few_times(scripted_server: ScriptedServer) -> None:
    scripted_server.script({f"doc-{row}": steps.status(500) for row in range(10, 30)})
    ask(provider_at(scripted_server.base_url, **IMPATIENT), requests(30))
    asked = probes(scripted_server)
    assert 1 <= len(asked) <= 20
    assert {json.dumps(body["messages"]) for body in asked} <= {
        json.dumps([{"role": "user", "content": f"doc-{row} hello"}]) for row in range(10)
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_asked_again_after_an_earlier_attempt_at_the_run_they_end_in_their_rows_without_any_success(
    scripted_server: ScriptedServer, fault: str
) -> None:
    step, kind, status = FAULTS[fault]
    scripted_server.script({f"doc-{row}": step for row in range(20)})
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url, **IMPATIENT))
    submission = Submission(Backlog(requests(20)), Receiver(asked.deliver), asked.stop, answered=True)
    engine.start(submission)
    engine.finish(submission)
    engine.close()
    assert failed(asked.outcomes) == {f"doc-{row}": (kind, status) for row in range(20)}


@pytest.mark.parametrize(("step", "stops"), [(steps.status(500), RequestRefused), (steps.reset(), ProviderDown)])
def test_a_run_whose_every_document_fails_alike_though_a_greeting_is_answered_stops_with_its_documents_pending(
    scripted_server: ScriptedServer, step: Step, stops: type[Exception]
) -> None:
    scripted_server.script({f"doc-{row}": step for row in range(200)})
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url, outage_s=5))
    with pytest.raises(stops, match="the first 10 documents"):
        run_for_at_most(10, engine, requests(200), asked)
    engine.close()
    assert len(asked.outcomes) == 0
    assert scripted_server.stats().requests < 60


@pytest.mark.parametrize(
    "step",
    [steps.status(502), steps.status(503), steps.status(200, {"error": {"code": 502, "message": "upstream"}})],
    ids=["502", "503", "502 inside a 200"],
)
def test_a_gateway_that_fails_the_first_attempts_at_every_document_refuses_none(
    scripted_server: ScriptedServer, step: Step
) -> None:
    scripted_server.script({f"doc-{row}": [step] * 4 + [steps.ok()] for row in range(12)})
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url, outage_s=5))
    run_for_at_most(15, engine, requests(12), asked)
    engine.close()
    assert failed(asked.outcomes) == {}
    assert len(asked.outcomes) == 12


def test_where_the_probe_fails_too_it_is_an_outage_and_no_document_pays(scripted_server: ScriptedServer) -> None:
    scripted_server.script(
        {"doc-0": [steps.ok(), steps.status(500)]} | {f"doc-{row}": steps.status(500) for row in range(1, 30)}
    )
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url, concurrency=1, outage_s=0.5))
    with pytest.raises(ProviderDown, match="nothing has succeeded"):
        run_for_at_most(10, engine, requests(30), asked)
    engine.close()
    assert list(asked.outcomes) == ["doc-0"]


def test_what_a_probe_costs_is_reserved_settled_and_told_as_a_discarded_answer(
    scripted_server: ScriptedServer,
) -> None:
    scripted_server.script({f"doc-{row}": steps.status(500) for row in range(5, 25)})
    coins, asked, engine = Coins(1000), Asked(), Engine(provider_at(scripted_server.base_url, **IMPATIENT))
    run_for_at_most(20, engine, requests(25), asked, coins)
    engine.close()
    answered = len([received for received in scripted_server.log() if received.status == 200])
    assert answered == 5 + len(probes(scripted_server)) > 5
    assert coins.ended["settled"] == answered
    assert coins.ended["reserved"] == scripted_server.stats().requests
    assert sum(len(outcome.discarded) for outcome in asked.outcomes.values()) == answered - 5


def request(content: str, *, model: str = "m", row: int = 0, **parameters: Any) -> Request:
    """One document's request."""
    shaped = Parameters(model, **parameters)
    return Request(row, f"doc-{row}", ({"role": "user", "content": content},), shaped, "print")


def test_the_probe_is_the_shortest_answered_request_for_one_token_in_the_failing_documents_place() -> None:
    known = KnownRequests(GREETING)
    for content in ("quite a long one", "short", "a longer one"):
        known.answered(request(content))
    failing = request("what fails", row=7, max_output_tokens=500, temperature=0.0, fail_truncated=True)
    probe = known.probe_for(failing)
    assert probe is not None
    assert probe.messages[0]["content"] == "short"
    assert (probe.row_index, probe.document_id) == (7, "doc-7")
    assert (probe.parameters.max_output_tokens, probe.parameters.temperature) == (1, 0.0)
    assert not probe.parameters.fail_truncated


@pytest.mark.parametrize(
    ("answered", "failing", "asked"),
    [("short", "long enough", "short"), ("long enough", "short", "Hi"), ("long enough", "?", None)],
)
def test_a_probe_never_costs_more_than_the_document_in_whose_place_it_is_sent(
    answered: str, failing: str, asked: str | None
) -> None:
    known = KnownRequests(GREETING)
    known.answered(request(answered))
    probe = known.probe_for(request(failing))
    assert (None if probe is None else probe.messages[0]["content"]) == asked


def test_another_models_answers_prove_nothing() -> None:
    known = KnownRequests(GREETING)
    known.answered(request("short", model="other"))
    probe = known.probe_for(request("what fails"))
    assert probe is not None
    assert probe.messages == GREETING


def test_an_endpoint_that_refuses_one_token_is_asked_as_the_documents_are() -> None:
    known = KnownRequests(GREETING)
    known.refused("m")
    answer_format = AnswerFormat({}, lambda text: text)
    probe = known.probe_for(request("what fails", max_output_tokens=500, answer_format=answer_format))
    assert probe is not None
    assert (probe.parameters.max_output_tokens, probe.parameters.answer_format) == (500, answer_format)


def test_an_endpoint_that_refuses_that_too_is_asked_by_its_documents_until_it_answers_one() -> None:
    known = KnownRequests(GREETING)
    known.refused("m")
    known.refused("m")
    assert known.probe_for(request("what fails")) is None
    assert known.probe_for(request("what fails", model="other")) is not None
    known.answered(request("short"))
    assert known.probe_for(request("what fails")) is not None
