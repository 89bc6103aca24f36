"""Whatever one document meets ends in its own row, and no other document is harmed (docs/contract.md, Rows)."""

from __future__ import annotations

import time

import pytest
from tests.engine.submitting import ask, provider_at, requests
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.scripted_server.steps import Step

from prefect_llm.values.errors import AccountExhausted, AuthenticationFailed, BadResponse, ProviderDown, RunError
from prefect_llm.values.outcome import ErrorKind, Outcome, Usage
from prefect_llm.values.request import AnswerFormat

POISONED = "doc-3"
DOCUMENTS = 12

ENDS_AT_ONCE = {
    "400": (steps.status(400), "rejected", 400),
    "413": (steps.status(413), "rejected", 413),
    "422": (steps.status(422), "rejected", 422),
    "404 after the first success": (steps.status(404), "rejected", 404),
    "403 after the first success": (steps.status(403), "rejected", 403),
    "a redirect after the first success": (steps.status(302, headers={"location": "http://x/"}), "rejected", 302),
    "too long, as OpenAI says it": (
        steps.error(400, "long", code="context_length_exceeded"),
        "context_too_long",
        400,
    ),
    "too long, as llama.cpp says it": (
        steps.error(400, "long", type="exceed_context_size_error"),
        "context_too_long",
        400,
    ),
    "too long, in words alone": (
        steps.error(400, "prompt is too long: 213462 tokens > 200000 maximum"),
        "context_too_long",
        400,
    ),
    "too long, with a server's status": (
        steps.status(500, {"error": "Context size has been exceeded."}),
        "context_too_long",
        500,
    ),
    "moderated with 403": (
        steps.status(403, {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"]}}}),
        "content_filtered",
        403,
    ),
    "a firewall's page after the first success": (
        steps.status(403, "<!DOCTYPE html><html><head><title>Blocked</title></head></html>"),
        "rejected",
        403,
    ),
    "501 after the first success": (steps.error(501, "no", type="not_supported_error"), "rejected", 501),
    "a filter's status": (steps.error(400, "no", code="content_filter"), "content_filtered", 400),
    "a filter's finish": (steps.ok(finish_reason="content_filter"), "content_filtered", 200),
    "a filter's finish in other words": (steps.ok(finish_reason="SAFETY"), "content_filtered", 200),
    "a refusal": (steps.ok(refusal="I will not."), "refused", 200),
    "empty at the output limit": (steps.ok("", finish_reason="length"), "truncated", 200),
    "null at the output limit": (steps.null_content(finish_reason="length"), "truncated", 200),
    "a 422 inside a 200": (steps.status(200, {"error": {"code": 422, "message": "no"}}), "rejected", 422),
}
ASKED_THRICE = {
    "not JSON": steps.not_json(),
    "no choices": steps.empty_choices(),
    "null content": steps.null_content(),
    "no chat completion": steps.status(200, "[1, 2]"),
    "nested without end": steps.status(200, '{"usage":' + "[" * 5_000 + "]" * 5_000 + "}"),
    "content of no kind": steps.status(200, {"choices": [{"message": {"content": 7}}]}),
    "a page": steps.status(200, "<html><body>Sign in</body></html>"),
    "empty": steps.status(200, ""),
}
ASKED_FIVE_TIMES = {
    "500": (steps.status(500), "server_error", 500),
    "503 with HTML": (steps.status(503, "<html><body><h1>Down</h1> for repair</body></html>"), "server_error", 503),
    "408": (steps.status(408), "server_error", 408),
    "529": (steps.status(529), "server_error", 529),
    "502 inside a 200": (steps.status(200, {"error": {"code": 502, "message": "upstream"}}), "server_error", 502),
    "a half that was given up": (steps.ok("The first half", finish_reason="error"), "server_error", 200),
    "a half with an error in its choice": (
        steps.Step(choices=({"message": {"content": "The first half"}, "error": {"message": "gone"}},)),
        "server_error",
        500,
    ),
    "closed before a byte": (steps.close_before_answer(), "connection", None),
    "closed in the middle": (steps.close_mid_body(), "connection", None),
    "reset": (steps.reset(), "connection", None),
    "no answer": (steps.hang(), "timeout", None),
    "too slow": (steps.slow_body(pause_s=0.2), "timeout", None),
}
TRANSPORTS = pytest.mark.parametrize("transport", ["pyreqwest", "httpx"])


def outcome_of(server: ScriptedServer, *script: Step, transport: str = "pyreqwest") -> Outcome:
    """The poisoned document's outcome, after all others were seen to be well."""
    server.script({POISONED: list(script)})
    first_success_first = provider_at(server.base_url, concurrency=2, transport=transport)
    outcomes = ask(first_success_first, requests(DOCUMENTS))
    assert sorted(outcomes) == sorted(f"doc-{row}" for row in range(DOCUMENTS))
    harmed = [document for document, outcome in outcomes.items() if not outcome.ok and document != POISONED]
    assert harmed == []
    return outcomes[POISONED]


def failure_of(outcome: Outcome) -> tuple[str, int | None, int]:
    """Kind, status and attempts."""
    assert outcome.failure is not None
    return outcome.failure.kind.value, outcome.failure.status, outcome.attempts


@TRANSPORTS
@pytest.mark.parametrize("case", ENDS_AT_ONCE)
def test_what_would_be_refused_again_is_asked_once(
    scripted_server: ScriptedServer, case: str, transport: str
) -> None:
    step, kind, status = ENDS_AT_ONCE[case]
    assert failure_of(outcome_of(scripted_server, step, transport=transport)) == (kind, status, 1)


@TRANSPORTS
@pytest.mark.parametrize("case", ASKED_THRICE)
def test_an_unusable_answer_is_asked_twice_more(scripted_server: ScriptedServer, case: str, transport: str) -> None:
    outcome = outcome_of(scripted_server, ASKED_THRICE[case], transport=transport)
    assert failure_of(outcome) == ("bad_response", 200, 3)


@TRANSPORTS
@pytest.mark.parametrize("case", ASKED_FIVE_TIMES)
def test_a_fault_that_stays_is_asked_five_times(scripted_server: ScriptedServer, case: str, transport: str) -> None:
    step, kind, status = ASKED_FIVE_TIMES[case]
    assert failure_of(outcome_of(scripted_server, step, transport=transport)) == (kind, status, 5)


@TRANSPORTS
@pytest.mark.parametrize("case", ASKED_FIVE_TIMES)
def test_a_fault_that_passes_leaves_an_answer(scripted_server: ScriptedServer, case: str, transport: str) -> None:
    outcome = outcome_of(scripted_server, ASKED_FIVE_TIMES[case][0], steps.ok("better"), transport=transport)
    assert outcome.completion is not None
    assert (outcome.ok, outcome.completion.content, outcome.attempts) == (True, "better", 2)


@TRANSPORTS
@pytest.mark.parametrize(
    "step",
    [
        steps.status(429, headers={"retry-after": "1"}),
        steps.status(429, retry_after_date_s=1),
        steps.status(429, headers={"retry-after-ms": "900"}),
        steps.status(498, headers={"retry-after": "1"}),
        steps.status(200, {"choices": None, "error": {"code": 429}}, headers={"retry-after": "1"}),
    ],
    ids=["seconds", "date", "milliseconds", "498", "inside a 200"],
)
def test_a_throttled_request_waits_as_long_as_it_was_told(
    scripted_server: ScriptedServer, step: Step, transport: str
) -> None:
    outcome = outcome_of(scripted_server, step, steps.ok(), transport=transport)
    assert outcome.ok
    assert (outcome.attempts, outcome.throttled) == (2, 1)
    assert outcome.queued_ms is not None
    assert outcome.queued_ms >= 899
    first, second = scripted_server.requests_for(POISONED)
    assert second.received_at - first.received_at >= 0.9


def test_a_retry_after_that_nobody_can_read_is_no_worse_than_none(scripted_server: ScriptedServer) -> None:
    odd = steps.status(429, headers={"retry-after": "Wed, 21 Oct 99999999999 07:28:00 GMT"})
    assert outcome_of(scripted_server, odd, steps.ok()).ok


def test_parts_without_text_are_no_reason_to_end_the_run(scripted_server: ScriptedServer) -> None:
    parts = [{"type": "text", "text": None}, {"type": "text", "text": "yes"}]
    outcome = outcome_of(scripted_server, steps.status(200, {"choices": [{"message": {"content": parts}}]}))
    assert outcome.completion is not None
    assert outcome.completion.content == "yes"


def test_the_time_between_attempts_counts_as_queued_and_not_as_latency(scripted_server: ScriptedServer) -> None:
    busy = steps.status(503, headers={"retry-after": "0.6"})
    outcome = outcome_of(scripted_server, busy, steps.ok())
    assert outcome.queued_ms is not None
    assert outcome.latency_ms is not None
    assert outcome.queued_ms >= 599  # the loop's clock counts milliseconds
    assert outcome.latency_ms < 599
    assert outcome.started_at_us is not None
    assert outcome.finished_at_us is not None
    assert outcome.finished_at_us - outcome.started_at_us >= 598_000


def test_a_429_pauses_every_request(scripted_server: ScriptedServer) -> None:
    scripted_server.script({"doc-0": [steps.status(429, headers={"retry-after": "1"}), steps.ok()]})
    ask(provider_at(scripted_server.base_url, concurrency=1), requests(6))
    times = [received.received_at for received in scripted_server.log()]
    assert min(times[1:]) - times[0] >= 0.99


def test_a_document_that_alone_is_throttled_ends_after_a_few_tries(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_llm.engine.failures.throttling.ACCOUNT_WINDOW_S", 0.5)
    began = time.monotonic()
    outcome = outcome_of(scripted_server, steps.status(429))
    assert failure_of(outcome)[:2] == ("throttled", 429)
    assert 5 <= outcome.attempts <= 7
    assert outcome.failure is not None
    assert "while others were answered" in outcome.failure.message
    assert 0.5 <= time.monotonic() - began < 5


@TRANSPORTS
@pytest.mark.parametrize("step", [steps.chunked(), steps.gzip(), steps.close_idle()], ids=["chunked", "gzip", "idle"])
def test_a_sound_answer_is_read_however_it_comes(scripted_server: ScriptedServer, step: Step, transport: str) -> None:
    outcome = outcome_of(scripted_server, step, transport=transport)
    assert outcome.completion is not None
    assert (outcome.completion.content, outcome.attempts) == ("echo: doc-3 hello", 1)


def test_a_connection_that_went_stale_between_requests_costs_no_document(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.stale_connection())
    outcomes = ask(provider_at(scripted_server.base_url, concurrency=1), requests(5))
    assert all(outcome.ok for outcome in outcomes.values())
    assert scripted_server.stats().stale_closed > 0


@TRANSPORTS
def test_an_answer_beyond_the_size_limit_fails_its_document(
    scripted_server: ScriptedServer, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("connection_faults", "reqwest_transport", "httpx_transport"):
        monkeypatch.setattr(f"prefect_llm.engine.{module}.MAX_ANSWER_BYTES", 50_000)
    outcome = outcome_of(scripted_server, steps.huge_body(60_000), transport=transport)
    assert failure_of(outcome) == ("bad_response", 200, 3)


def test_tokens_model_and_finish_reason_are_the_endpoints_own(scripted_server: ScriptedServer) -> None:
    answer = steps.ok(
        "yes", usage=steps.tokens(120, 30, cached=100, reasoning=12), finish_reason="length", model="m-2026"
    )
    completion = outcome_of(scripted_server, answer).completion
    assert completion is not None
    assert completion.usage == Usage(120, 100, 30, 12)
    assert (completion.content, completion.finish_reason, completion.model) == ("yes", "length", "m-2026")


def test_an_answer_without_usage_has_no_tokens_rather_than_none(scripted_server: ScriptedServer) -> None:
    completion = outcome_of(scripted_server, steps.ok(usage={})).completion
    assert completion is not None
    assert completion.usage is None or completion.usage.input_tokens is None


def test_a_refusal_keeps_what_was_billed(scripted_server: ScriptedServer) -> None:
    outcome = outcome_of(scripted_server, steps.ok("I may", refusal="I will not.", usage=steps.tokens(9, 4)))
    assert outcome.completion is not None
    assert (outcome.completion.content, outcome.completion.usage) == ("I may", Usage(9, 0, 4, 0))


def test_billed_answers_that_were_thrown_away_are_counted(scripted_server: ScriptedServer) -> None:
    outcome = outcome_of(scripted_server, steps.null_content(), steps.ok("now"))
    assert outcome.ok
    assert len(outcome.discarded) == 1
    assert outcome.discarded[0].usage.output_tokens == 7


def test_what_was_given_up_halfway_is_billed_like_an_answer(scripted_server: ScriptedServer) -> None:
    half = steps.ok("The first half", finish_reason="abort", usage=steps.tokens(9, 4))
    outcome = outcome_of(scripted_server, half, half, steps.ok("whole"))
    assert outcome.ok
    assert [discarded.usage for discarded in outcome.discarded] == [Usage(9, 0, 4, 0)] * 2
    assert outcome.lost == 0


def test_what_was_given_up_without_usage_may_have_been_billed(scripted_server: ScriptedServer) -> None:
    half = steps.ok("The first half", finish_reason="abort", usage={})
    outcome = outcome_of(scripted_server, half, steps.ok("whole"))
    assert (outcome.ok, outcome.discarded, outcome.lost) == (True, (), 1)


def test_a_half_that_nothing_completes_is_kept_with_its_failure(scripted_server: ScriptedServer) -> None:
    outcome = outcome_of(scripted_server, steps.ok("The first half", finish_reason="error"))
    assert failure_of(outcome) == ("server_error", 200, 5)
    assert outcome.completion is not None
    assert outcome.completion.content == "The first half"


def test_answers_that_are_all_given_up_are_an_outage(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.ok("half", finish_reason="error"))
    with pytest.raises(ProviderDown, match="gave the answer up"):
        ask(provider_at(scripted_server.base_url, outage_s=0.3), requests(DOCUMENTS))


@TRANSPORTS
@pytest.mark.parametrize(
    ("code", "error"),
    [(401, AuthenticationFailed), (402, AccountExhausted), ("insufficient_quota", AccountExhausted)],
)
def test_an_error_inside_a_200_stops_the_run_as_its_status_would(
    scripted_server: ScriptedServer, code: int | str, error: type[RunError], transport: str
) -> None:
    scripted_server.script_all(steps.status(200, {"choices": None, "error": {"code": code, "message": "no"}}))
    with pytest.raises(error):
        ask(provider_at(scripted_server.base_url, concurrency=2, transport=transport), requests(DOCUMENTS))
    assert scripted_server.stats().requests <= 2


def only_yes(text: str) -> str:
    """An answer format's parser that takes nothing but yes."""
    if text != "yes":
        raise BadResponse(f"not yes but {text}", kind=ErrorKind.SCHEMA_MISMATCH)
    return text


@pytest.mark.parametrize(
    ("step", "kind", "attempts"),
    [
        (steps.ok("no"), "schema_mismatch", 2),
        (steps.ok("ye", finish_reason="length"), "truncated", 1),
    ],
    ids=["against its schema", "cut"],
)
def test_an_answer_that_does_not_fit_its_schema(
    scripted_server: ScriptedServer, step: Step, kind: str, attempts: int
) -> None:
    scripted_server.script({"*": steps.ok("yes"), "doc-1": step})
    answer_format = AnswerFormat({"type": "string"}, only_yes)
    outcomes = ask(provider_at(scripted_server.base_url), requests(4, answer_format=answer_format))
    assert failure_of(outcomes["doc-1"]) == (kind, 200, attempts)
    completion = outcomes["doc-0"].completion
    assert completion is not None
    assert completion.output == "yes"


def test_latency_is_never_under_the_servers_delay(scripted_server: ScriptedServer) -> None:
    scripted_server.delay(0.15)
    outcomes = ask(provider_at(scripted_server.base_url), requests(16))
    assert min(outcome.latency_ms or 0 for outcome in outcomes.values()) >= 150
