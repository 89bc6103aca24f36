"""What is refused before a run's first answer: what all requests share is at fault, or one document."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.submitting import Asked, ask, provider_at, requests, run_for_at_most
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.scripted_server.steps import Step

from prefect_llm.engine import Engine
from prefect_llm.engine.failures.first_answers import ALIKE, UNLIKE, FirstAnswers
from prefect_llm.engine.submission import Backlog, Receiver, Submission
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import (
    AuthenticationFailed,
    Cause,
    EndpointNotFound,
    ModelNotFound,
    Rejected,
    RequestRefused,
    RunError,
)

CONCURRENCY = 8
SAME_WORDS: dict[str, Step] = {
    "400": steps.error(400, "said by the endpoint"),
    "422": steps.status(422, {"detail": "said by the endpoint"}),
    "with a request's id": steps.error(400, "said by the endpoint, request 0a7e-99"),
}
OUT_OF_PLACE = {403: AuthenticationFailed, 404: EndpointNotFound, 302: EndpointNotFound}


@pytest.mark.parametrize("concurrency", [1, CONCURRENCY])
@pytest.mark.parametrize("case", SAME_WORDS)
def test_the_same_refusal_of_the_first_ten_documents_stops_the_run_and_fails_none(
    scripted_server: ScriptedServer, case: str, concurrency: int
) -> None:
    scripted_server.script_all(SAME_WORDS[case])
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url, concurrency=concurrency))
    with pytest.raises(RequestRefused, match=r"first 10 documents in the same words .*said by the endpoint"):
        run_for_at_most(10, engine, requests(200), asked)
    engine.close()
    assert asked.outcomes == {}
    assert scripted_server.stats().requests <= 10 + concurrency


@pytest.mark.parametrize("transport", ["pyreqwest", "httpx"])
@pytest.mark.parametrize("status", [200, 400, 405, 406, 410, 426, 497])
def test_a_web_page_for_each_of_the_first_ten_documents_is_in_the_endpoints_place(
    scripted_server: ScriptedServer, status: int, transport: str
) -> None:
    scripted_server.script_all(steps.status(status, "<html><title>Welcome</title></html>"))
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url, transport=transport))
    with pytest.raises(EndpointNotFound, match=r"a web page answers in front of .*Welcome"):
        run_for_at_most(10, engine, requests(200), asked)
    engine.close()
    assert asked.outcomes == {}
    assert scripted_server.stats().requests <= 10 + 2 * CONCURRENCY


@pytest.mark.parametrize("status", [200, 400, 406])
def test_a_web_page_for_few_documents_while_others_are_answered_is_theirs(
    scripted_server: ScriptedServer, status: int
) -> None:
    page = steps.status(status, "<html><title>Blocked</title></html>")
    scripted_server.script({f"doc-{row}": page for row in (0, 3, 7)})
    outcomes = ask(provider_at(scripted_server.base_url, concurrency=CONCURRENCY), requests(30))
    assert len(outcomes) == 30
    assert {name for name, outcome in outcomes.items() if not outcome.ok} == {"doc-0", "doc-3", "doc-7"}


def test_an_address_that_takes_no_posts_is_a_wrong_one(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.status(405, {"detail": "Method Not Allowed"}))
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url))
    with pytest.raises(EndpointNotFound, match="Method Not Allowed"):
        run_for_at_most(10, engine, requests(200), asked)
    engine.close()
    assert asked.outcomes == {}


@pytest.mark.parametrize("concurrency", [1, CONCURRENCY])
@pytest.mark.parametrize("refused", [1, 9])
def test_fewer_are_failed_rows_once_another_document_is_answered(
    scripted_server: ScriptedServer, refused: int, concurrency: int
) -> None:
    scripted_server.script({f"doc-{row}": steps.status(400) for row in range(refused)})
    outcomes = ask(provider_at(scripted_server.base_url, concurrency=concurrency), requests(50))
    assert len(outcomes) == 50
    assert sorted(name for name, outcome in outcomes.items() if not outcome.ok) == [
        f"doc-{row}" for row in range(refused)
    ]
    assert scripted_server.stats().requests == 50


def test_where_no_more_than_nine_documents_are_all_refused_each_is_a_failed_row(
    scripted_server: ScriptedServer,
) -> None:
    scripted_server.script_all(steps.status(400))
    outcomes = ask(provider_at(scripted_server.base_url), requests(9))
    assert len(outcomes) == 9
    assert not any(outcome.ok for outcome in outcomes.values())


def test_many_documents_refused_in_different_words_are_each_at_fault(scripted_server: ScriptedServer) -> None:
    words = [a + b for a in "abcdefgh" for b in "abcdefghij"]
    scripted_server.script({f"doc-{row}": steps.error(400, word) for row, word in enumerate(words)})
    outcomes = ask(provider_at(scripted_server.base_url), requests(len(words)))
    assert len(outcomes) == len(words)
    assert scripted_server.stats().requests == len(words)


def test_refusals_in_a_run_that_was_answered_before_are_failed_rows_at_once(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.status(400))
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url))
    submission = Submission(Backlog(requests(30)), Receiver(asked.deliver), asked.stop, answered=True)
    engine.start(submission)
    engine.finish(submission)
    engine.close()
    assert len(asked.outcomes) == 30


@pytest.mark.parametrize("flagged", [1, 3])
@pytest.mark.parametrize("status", OUT_OF_PLACE)
def test_one_that_is_out_of_place_is_its_documents_where_others_under_way_are_answered(
    scripted_server: ScriptedServer, status: int, flagged: int
) -> None:
    scripted_server.delay(0.1)
    scripted_server.script({f"doc-{row}": steps.status(status, delay_s=0.0) for row in range(flagged)})
    outcomes = ask(provider_at(scripted_server.base_url, concurrency=CONCURRENCY), requests(40))
    assert len(outcomes) == 40
    failures = {name: outcome.failure for name, outcome in outcomes.items() if outcome.failure is not None}
    assert sorted(failures) == [f"doc-{row}" for row in range(flagged)]
    assert {failure.kind.value for failure in failures.values()} == {"rejected"}


@pytest.mark.parametrize("status", OUT_OF_PLACE)
def test_nothing_more_leaves_until_those_under_way_tell(scripted_server: ScriptedServer, status: int) -> None:
    scripted_server.script_all(steps.status(status, delay_s=0.1))
    scripted_server.script({"doc-0": steps.status(status)})
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url, concurrency=CONCURRENCY))
    if status == 404:
        scripted_server.know_models("m")
    with pytest.raises(OUT_OF_PLACE[status]):
        run_for_at_most(10, engine, requests(100), asked)
    engine.close()
    assert asked.outcomes == {}
    assert sum(scripted_server.stats().by_document.values()) == CONCURRENCY


NAMED: dict[str, tuple[Step, dict[str, Any], type[RunError], str]] = {
    "temperature": (
        steps.error(400, "no", param="temperature"),
        {"temperature": 0.0},
        RequestRefused,
        "leave temperature out",
    ),
    "output limit": (
        steps.error(400, "no", param="max_tokens"),
        {"max_output_tokens": 5},
        RequestRefused,
        "send it as max_completion_tokens in param",
    ),
    "extra": (
        steps.error(400, "no", param="top_k"),
        {"extra": {"top_k": 5}},
        RequestRefused,
        "leave top_k out of param",
    ),
    "a part of it": (
        steps.error(400, "no", param="tools.0.type"),
        {"extra": {"tools": [{}]}},
        RequestRefused,
        "leave tools out of param",
    ),
    "FastAPI": (
        steps.status(422, {"detail": [{"loc": ["body", "top_k"], "msg": "extra"}]}),
        {"extra": {"top_k": 5}},
        RequestRefused,
        "leave top_k out of param",
    ),
    "model": (steps.error(400, "no", param="model"), {}, ModelNotFound, "the model 'm'"),
}


@pytest.mark.parametrize("case", NAMED)
def test_a_refusal_that_names_what_all_requests_carry_stops_with_advice(
    scripted_server: ScriptedServer, case: str
) -> None:
    step, parameters, stops, said = NAMED[case]
    scripted_server.script_all(step)
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url, concurrency=CONCURRENCY))
    with pytest.raises(stops, match=said):
        run_for_at_most(10, engine, requests(100, **parameters), asked)
    engine.close()
    assert asked.outcomes == {}
    assert len({received.document for received in scripted_server.log()}) <= 2 * CONCURRENCY


@pytest.mark.parametrize("param", ["messages", "messages.0.content", "top_k"])
def test_a_refusal_that_names_what_only_this_request_carries_is_its_documents(
    scripted_server: ScriptedServer, param: str
) -> None:
    scripted_server.script({"doc-0": steps.error(400, "no", param=param)})
    outcomes = ask(provider_at(scripted_server.base_url, concurrency=1), requests(5))
    assert [name for name, outcome in outcomes.items() if not outcome.ok] == ["doc-0"]


def refused(message: str, *, cause: Cause | None = None) -> Rejected:
    """A 400."""
    return Rejected(message, status=400, cause=cause)


def test_ten_alike_are_counted_by_document_and_forgotten_with_an_answer() -> None:
    first, run = FirstAnswers(), StopFlag()
    for row in range(ALIKE - 1):
        assert not first.are_alike(run, f"doc-{row}", refused(f"no key for request req-{row}"))
    assert not first.are_alike(run, "doc-0", refused("no key for request req-7"))
    assert not first.are_alike(run, "doc-77", refused("something else"))
    assert first.are_alike(run, "doc-99", refused("no key for request req-99"))
    first.record(run)
    assert first.has(run)
    assert not first.are_alike(run, "doc-99", refused("no key for request req-99"))


def test_runs_are_counted_apart() -> None:
    first, one, other = FirstAnswers(), StopFlag(), StopFlag()
    for row in range(ALIKE - 1):
        first.are_alike(one, f"doc-{row}", refused("no"))
    assert not first.are_alike(other, "doc-100", refused("no"))
    first.record(one)
    assert not first.has(other)


def test_so_many_refusals_unlike_each_other_are_their_documents_own() -> None:
    first, run = FirstAnswers(), StopFlag()
    for row in range(UNLIKE):
        assert not first.has(run)
        first.are_alike(run, f"doc-{row}", refused("a" * (row + 1)))
    assert first.has(run)
