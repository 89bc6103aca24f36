"""Whom a 429 is about: the account, for a while or for long, or one document that is larger than it takes."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.engine.submitting import Asked, ask, provider_at, requests, run_for_at_most
from tests.engine.test_response_policy import LONG, Provided
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.scripted_server.steps import Step

from prefect_llm.engine import Engine
from prefect_llm.engine.failures.retry import RetryCounts
from prefect_llm.engine.failures.throttling import ACCOUNT_WINDOW_S, TRIES, Throttling
from prefect_llm.engine.failures.verdicts import Fail, Retry, StopRun, Verdict
from prefect_llm.engine.submission import FallbackReason
from prefect_llm.values.errors import AccountExhausted, AuthenticationFailed, Cause, LimitReached, RunError, Throttled
from prefect_llm.values.outcome import ErrorKind

QUICK: dict[str, Any] = {"backoff_s": 0.01, "max_backoff_s": 0.02}


@pytest.mark.parametrize("answered", [0, 30])
def test_nothing_but_429_ends_the_run_at_its_patience_and_fails_no_document(
    scripted_server: ScriptedServer, answered: int
) -> None:
    scripted_server.script_all(steps.error(429, "slow down", code="rate_limit_exceeded"))
    scripted_server.script({f"doc-{row}": steps.ok() for row in range(answered)})
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url, outage_s=0.4, **QUICK))
    began = time.monotonic()
    with pytest.raises(LimitReached, match=r"nothing but 429 .*slow down"):
        run_for_at_most(10, engine, requests(60), asked)
    engine.close()
    assert 0.4 <= time.monotonic() - began < 5
    assert len(asked.outcomes) == answered
    assert all(outcome.ok for outcome in asked.outcomes.values())


@pytest.mark.parametrize(
    "probe",
    [steps.status(400), steps.status(403), steps.status(404), steps.status(500), steps.not_json(), steps.reset()],
    ids=["400", "403", "404", "500", "no JSON", "reset"],
)  # fmt: skip
def test_nothing_but_429_ends_the_run_though_its_probe_tells_nothing(
    scripted_server: ScriptedServer, probe: Step
) -> None:
    scripted_server.script({f"doc-{row}": steps.error(429, "slow down") for row in range(4)} | {"*": probe})
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url, outage_s=0.4, **QUICK))
    with pytest.raises(LimitReached, match=r"nothing but 429 .*slow down"):
        run_for_at_most(10, engine, requests(4), asked)
    engine.close()
    assert asked.outcomes == {}


@pytest.mark.parametrize(("probe", "error"), [(401, AuthenticationFailed), (402, AccountExhausted)])
@pytest.mark.parametrize("documents", [429, 500])
def test_a_probe_whose_key_or_account_is_refused_stops_the_run_at_once(
    scripted_server: ScriptedServer, probe: int, documents: int, error: type[RunError]
) -> None:
    scripted_server.script({f"doc-{row}": steps.status(documents) for row in range(30)} | {"*": steps.status(probe)})
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url, concurrency=4, **QUICK))
    with pytest.raises(error):
        run_for_at_most(10, engine, requests(9 if documents == 429 else 30), asked)
    engine.close()
    assert asked.outcomes == {}


@pytest.mark.parametrize(
    ("code", "headers"),
    [("rate_limit_exceeded", {"retry-after": "86400"}), ("rate_limit_exceeded", {"retry-after-ms": "86400000"})],
)
def test_a_wait_beyond_the_patience_stops_the_run_at_once(
    scripted_server: ScriptedServer, code: str, headers: dict[str, str]
) -> None:
    scripted_server.script_all(steps.status(429, {"error": {"message": "tomorrow", "code": code}}, headers=headers))
    asked, engine = Asked(), Engine(provider_at(scripted_server.base_url))
    with pytest.raises(LimitReached, match=r"24 h 0 min, longer than outage_patience .*tomorrow"):
        run_for_at_most(5, engine, requests(100), asked)
    engine.close()
    assert asked.outcomes == {}
    assert scripted_server.stats().requests <= 8


def test_several_documents_larger_than_the_account_takes_fail_while_all_others_are_answered(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_llm.engine.failures.throttling.ACCOUNT_WINDOW_S", 0.5)
    scripted_server.script({f"doc-{row}": steps.status(429) for row in (3, 30, 57)})
    outcomes = ask(provider_at(scripted_server.base_url, outage_s=2, **QUICK), requests(60))
    failures = {name: outcome.failure for name, outcome in outcomes.items() if outcome.failure is not None}
    assert sorted(failures) == ["doc-3", "doc-30", "doc-57"]
    assert {failure.kind for failure in failures.values()} == {ErrorKind.THROTTLED}
    assert all(outcomes[name].attempts <= 12 for name in failures)


def test_a_crowd_at_its_limit_loses_no_document(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_llm.engine.failures.throttling.ACCOUNT_WINDOW_S", 0.0)
    scripted_server.script_all(*[steps.status(429)] * 6, steps.ok())
    outcomes = ask(provider_at(scripted_server.base_url, **QUICK), requests(30))
    assert all(outcome.ok for outcome in outcomes.values())
    assert len(outcomes) == 30


def throttled(message: str = "HTTP 429: slow down", **more: Any) -> Throttled:
    return Throttled(message, status=429, **more)


@pytest.mark.parametrize(
    "error", [throttled(retry_after_s=301.0), throttled(cause=Cause.LIMIT_PER_DAY)], ids=["a long wait", "per day"]
)
@pytest.mark.parametrize("succeeded", [False, True])
def test_a_limit_that_is_renewed_late_stops_whatever_is_in_flight(error: Throttled, succeeded: bool) -> None:
    provided = Provided(succeeded=succeeded, outage_s=300.0)
    provided.leave(1.0)
    verdict = provided.fail(1.0, provided.leave(1.0), error)
    assert isinstance(verdict, StopRun)
    assert isinstance(verdict.error, LimitReached)
    assert verdict.why is FallbackReason.OUTAGE


def test_the_patience_is_counted_from_the_first_429_and_only_the_last_in_flight_ends_the_run() -> None:
    provided = Provided(outage_s=300.0, max_backoff_s=1.0)
    provided.fail(10.0, provided.leave(1.0), throttled())
    assert isinstance(provided.fail(309.9, provided.leave(309.0), throttled()), Retry)
    slow, last = provided.leave(320.0), provided.leave(320.0)
    assert isinstance(provided.fail(320.0, slow, throttled()), Retry)
    assert isinstance(provided.fail(320.0, last, throttled()), StopRun)


def test_a_success_starts_the_patience_anew() -> None:
    provided = Provided(outage_s=300.0, max_backoff_s=1.0)
    provided.fail(10.0, provided.leave(1.0), throttled())
    provided.answer(200.0, provided.leave(200.0))
    assert isinstance(provided.fail(320.0, provided.leave(320.0), throttled()), Retry)


def test_no_pause_outlasts_the_patience() -> None:
    provided = Provided(outage_s=300.0)
    provided.fail(10.0, provided.leave(10.0), throttled(retry_after_s=250.0))
    provided.fail(260.0, provided.leave(260.0), throttled(retry_after_s=250.0))
    assert provided.scheduler.next(260.0) == 310.0


def test_a_document_turned_away_alone_fails_after_a_whole_window_and_pauses_nobody_meanwhile() -> None:
    verdicts: list[Verdict] = []
    provided, now = Provided(outage_s=LONG), 1.0
    job = provided.leave(now)
    while not verdicts or isinstance(verdicts[-1], Retry):
        verdicts.append(provided.decide(now, job, throttled()))
        if isinstance(verdict := verdicts[-1], Retry):
            now = max(now + verdict.delay_s, provided.cool_down_until)
        provided.answer(now, provided.leave(now))
    assert len(verdicts) == TRIES + 1
    assert ACCOUNT_WINDOW_S <= now - 1.0 <= 2 * ACCOUNT_WINDOW_S
    verdict = verdicts[-1]
    assert isinstance(verdict, Fail)
    assert "while others were answered" in verdict.failure.message
    assert provided.cool_down_until < 10.0


def test_where_others_get_through_that_were_turned_away_a_document_only_waits_its_turn() -> None:
    throttling, counts = Throttling(), RetryCounts()
    for second in range(200):
        other = RetryCounts()
        throttling.throttled(float(second), f"other-{second}", other)
        throttling.throttled(float(second), "doc-0", counts)
        throttling.succeeded(other)
    assert not throttling.fits_never(200.0, counts)
    assert not throttling.waits_alone(counts)


@pytest.mark.parametrize(("documents", "wanted"), [(1, True), (9, True), (10, False)])
def test_few_documents_turned_away_are_told_from_the_account_by_a_probe(documents: int, wanted: bool) -> None:
    throttling, counts = Throttling(), [RetryCounts() for _ in range(documents)]
    for _ in range(2):
        for row, each in enumerate(counts):
            throttling.throttled(1.0, f"doc-{row}", each)
    assert throttling.wants_probe(counts[0]) is wanted
    throttling.probe_succeeded()
    assert not throttling.wants_probe(counts[0])
