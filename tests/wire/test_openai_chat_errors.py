"""An error inside a 200 means what its status would have meant, in whatever form it comes, whole or streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.engine.submitting import requests
from tests.wire.streamed import DONE, STREAM, event

from prefect_llm.values.errors import BadResponse, Cause, Rejected, RequestError, Throttled, Unavailable
from prefect_llm.values.outcome import ErrorKind, Usage
from prefect_llm.wire.http import Answer
from prefect_llm.wire.openai_chat import decode

SLOW_DOWN = {"code": 429, "message": "slow down"}
USED = {"prompt_tokens": 9, "completion_tokens": 4}


def failure(body: str | bytes, **headers: str) -> RequestError:
    """What a 200 with that body raises."""
    (request,) = requests(1)
    with pytest.raises(RequestError) as failed:
        decode(Answer(200, headers, body if isinstance(body, bytes) else body.encode()), request, keep_raw=False)
    return failed.value


FORMS: dict[str, Any] = {
    "no choices": {"error": SLOW_DOWN},
    "null choices": {"choices": None, "error": SLOW_DOWN},
    "empty choices": {"choices": [], "error": SLOW_DOWN},
    "a choice beside it": {"choices": [{"message": {"content": ""}, "finish_reason": "error"}], "error": SLOW_DOWN},
    "a message of null": {"choices": [{"message": None, "finish_reason": None}], "error": SLOW_DOWN},
    "in the choice": {"choices": [{"message": {"content": ""}, "finish_reason": "error", "error": SLOW_DOWN}]},
    "in a choice without message": {"choices": [{"index": 0, "error": SLOW_DOWN}]},
    "a code in text": {"error": {**SLOW_DOWN, "code": "429"}},
    "a word as code": {"error": {**SLOW_DOWN, "code": "rate_limit_exceeded"}},
    "a word as type": {"error": {"message": "slow down", "type": "rate_limit_error", "code": None}},
    "a status": {"error": {"message": "slow down", "status": 429}},
    "an error in text": {"error": "slow down", "code": 429},
    "an error that is true": {"error": True, "message": "slow down", "status_code": "429"},
    "vLLM's": {"object": "error", "message": "slow down", "type": "RateLimitError", "param": None, "code": 429},
    "Anthropic's": {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}},
    "Google's list": [{"error": {**SLOW_DOWN, "status": "RESOURCE_EXHAUSTED"}}],
    "nothing but a status": {"code": 429, "message": "slow down", "data": None},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "byte order mark"])
def test_a_throttle_is_read_in_every_form(form: str, mark: bytes) -> None:
    error = failure(mark + json.dumps(FORMS[form]).encode(), **{"retry-after": "7"})
    assert isinstance(error, Throttled)
    assert (error.status, error.retry_after_s, error.completion) == (429, 7.0, None)
    assert "429" in error.message


@pytest.mark.parametrize("form", [name for name in FORMS if name not in ("Google's list", "nothing but a status")])
def test_a_streamed_throttle_is_read_in_every_form(form: str) -> None:
    told = json.dumps(FORMS[form]).replace('"message": {"content": ""}', '"delta": {"content": ""}')
    error = failure(f"data: {told}\n\n{DONE}", **STREAM)
    assert isinstance(error, Throttled)
    assert error.status == 429


@pytest.mark.parametrize(
    ("told", "kind", "status", "cause"),
    [
        ({"code": 400, "message": "no"}, Rejected, 400, None),
        ({"code": 401, "message": "no key"}, Rejected, 401, None),
        ({"code": 402, "message": "no credits"}, Rejected, 402, None),
        ({"code": "insufficient_quota", "message": "empty"}, Throttled, 429, Cause.ACCOUNT_EXHAUSTED),
        ({"code": 403, "message": "flagged"}, Rejected, 403, None),
        ({"code": "model_not_found", "message": "no"}, Rejected, 404, Cause.MODEL_NOT_FOUND),
        ({"code": 408, "message": "late"}, Unavailable, 408, None),
        ({"code": 502, "message": "upstream"}, Unavailable, 502, None),
        ({"code": 529, "message": "busy"}, Unavailable, 529, None),
        ({"message": "something"}, Unavailable, 500, None),
        ("something", Unavailable, 500, None),
    ],
    ids=str,
)
def test_an_error_means_what_its_status_would(
    told: Any, kind: type[RequestError], status: int, cause: Cause | None
) -> None:
    whole = failure(json.dumps({"choices": None, "error": told}))
    streamed = failure(event("Hel") + f"data: {json.dumps({'error': told})}\n\n", **STREAM)
    for error in (whole, streamed):
        assert isinstance(error, kind)
        assert (error.status, error.cause) == (status, cause)


@pytest.mark.parametrize(
    ("number", "kind", "status"),
    [
        (1000, Unavailable, 500),
        (1002, Throttled, 429),
        (1004, Rejected, 401),
        (1008, Rejected, 402),
        (1026, Rejected, 400),
        (2013, Rejected, 400),
    ],
)
def test_an_error_in_minimax_s_numbers_means_what_its_status_would(
    number: int, kind: type[RequestError], status: int
) -> None:
    error = failure(json.dumps({"choices": None, "base_resp": {"status_code": number, "status_msg": "no"}}))
    assert isinstance(error, kind)
    assert (error.status, error.message) == (status, f"HTTP {status}: no ({number})")
    assert (error.kind is ErrorKind.CONTENT_FILTERED) == (number == 1026)


def test_minimax_s_zero_is_no_error() -> None:
    (request,) = requests(1)
    body = {"choices": [{"message": {"content": "yes"}}], "base_resp": {"status_code": 0, "status_msg": ""}}
    assert decode(Answer(200, {}, json.dumps(body).encode()), request, keep_raw=False).content == "yes"
    assert "without choices" in failure(json.dumps({"base_resp": {"status_code": 0}})).message
    for odd in ("odd", [1002], {"status_code": [1002]}, {"status_code": None}):
        assert "without choices" in failure(json.dumps({"base_resp": odd})).message


def test_an_empty_error_is_none() -> None:
    (request,) = requests(1)
    for nothing in (None, {}, "", False, {"code": None, "message": ""}):
        body = {"error": nothing, "choices": [{"message": {"content": "yes"}, "error": nothing}]}
        assert decode(Answer(200, {}, json.dumps(body).encode()), request, keep_raw=False).content == "yes"


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"message": {"content": "The half"}, "error": {"code": 502}}], "usage": USED},
        {"choices": [{"message": {"content": "The half"}, "finish_reason": "error"}], "error": "gone", "usage": USED},
    ],
    ids=["in the choice", "beside it"],
)
def test_a_half_before_the_error_was_billed(body: Any) -> None:
    error = failure(json.dumps(body))
    assert (error.kind, isinstance(error, Unavailable)) == (ErrorKind.SERVER_ERROR, True)
    assert error.completion is not None
    assert (error.completion.content, error.completion.usage) == ("The half", Usage(9, None, 4))


def test_an_error_that_counts_no_tokens_was_not_billed() -> None:
    nothing = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert failure(json.dumps({"error": SLOW_DOWN, "usage": nothing})).completion is None


@pytest.mark.parametrize(
    "body",
    [
        [{"error": {"code": "json_validate_failed"}}],
        {"code": "json_validate_failed", "message": "no"},
        {"error": {"code": "json_validate_failed", "failed_generation": None}},
        {"error": {"code": "json_validate_failed", "failed_generation": ["{"]}},
    ],
    ids=["a list", "without error", "null", "no text"],
)
def test_a_refused_schema_is_a_mismatch_in_any_wrapping(body: Any) -> None:
    (request,) = requests(1)
    with pytest.raises(BadResponse) as failed:
        decode(Answer(400, {}, b"\xef\xbb\xbf" + json.dumps(body).encode()), request, keep_raw=False)
    assert (failed.value.kind, failed.value.completion) == (ErrorKind.SCHEMA_MISMATCH, None)
