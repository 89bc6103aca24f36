"""Error bodies as endpoints spell them, and Retry-After in each of its forms."""

from __future__ import annotations

import email.utils
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_llm.values.errors import Rejected, RequestError, Throttled, Unavailable
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.wire.error_bodies import MAX_RETRY_AFTER_S, one_line, raise_refusal, read_complaint, retry_after_s
from prefect_llm.wire.http import Answer
from prefect_llm.wire.openai_error_words import ERROR_WORDS


@pytest.mark.parametrize(
    ("body", "text", "code"),
    [
        ({"error": {"message": "Bad key.", "type": "t", "code": "invalid_api_key"}}, "Bad key.", "invalid_api_key"),
        ({"error": {"message": "No model.", "type": "x", "code": "model_not_found"}}, "No model.", "model_not_found"),
        ({"object": "error", "message": "No m.", "type": "NotFoundError", "code": 404}, "No m.", "NotFoundError"),
        ({"error": "no such model"}, "no such model", None),
        ({"detail": "Not Found"}, "Not Found", None),
        (
            {"error": {"code": 400, "message": "Too long.", "type": "exceed_context_size_error", "n_ctx": 4096}},
            "Too long.",
            "exceed_context_size_error",
        ),
        ({"type": "error", "error": {"type": "not_found_error", "message": "m"}}, "m", "not_found_error"),
        ({"error": {"message": {"why": "busy"}}}, '{"why":"busy"}', None),
        ({"error": None}, "None", None),
        ([{"error": {"message": "x"}}], '[{"error":{"message":"x"}}]', None),
    ],
    ids=[
        "OpenAI",
        "OpenAI model",
        "vLLM",
        "plain error",
        "FastAPI",
        "llama.cpp",
        "Anthropic",
        "no text",
        "null",
        "a list",
    ],
)
def test_a_json_body_gives_its_sentence_and_its_code(body: object, text: str, code: str | None) -> None:
    complaint = read_complaint(orjson.dumps(body))
    assert (complaint.text, complaint.code(ERROR_WORDS)) == (text, code)


def test_html_is_read_as_the_text_it_shows() -> None:
    body = b"<html><style>b {}</style><body><h1>502</h1>\n<p>Bad   gateway</p></body></html>"
    assert read_complaint(body).text == "502 Bad gateway"


@pytest.mark.parametrize(
    ("body", "text"),
    [(b"upstream\n  timed out", "upstream timed out"), (b"", ""), (b"\xff\xfe", "\ufffd\ufffd"), (b"7", "7")],
    ids=["text", "empty", "no text", "a number"],
)
def test_what_is_no_json_object_is_read_as_text(body: bytes, text: str) -> None:
    complaint = read_complaint(body)
    assert (complaint.text, complaint.code(ERROR_WORDS), complaint.parameters) == (text, None, frozenset())


def test_openai_names_the_parameter_it_blames() -> None:
    assert read_complaint(orjson.dumps({"error": {"param": "messages.0.content"}})).parameters == {"messages"}


def test_a_validation_error_names_the_parameter_it_blames() -> None:
    detail = [{"loc": ["body", "response_format", "type"], "msg": "unknown"}]
    assert read_complaint(orjson.dumps({"detail": detail})).parameters == {"response_format"}


def test_a_message_is_one_line_of_at_most_500_characters() -> None:
    assert len(one_line("word " * 1_000)) == 500
    assert "\n" not in one_line("a\nb")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "100000"}, MAX_RETRY_AFTER_S),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 99999999999 07:28:00 GMT"}, None),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_in_each_of_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_retry_after_as_a_date_counts_from_now() -> None:
    date = email.utils.formatdate(time.time() + 20, usegmt=True)
    assert retry_after_s({"retry-after": date}) == pytest.approx(20, abs=1.5)


@given(st.text() | st.from_regex(r"\w{3}, \d+ (Jan|Oct) \d{1,12} \d+:\d+:\d+ (GMT|[+-]\d+)", fullmatch=True))
def test_no_retry_after_is_worse_than_none(text: str) -> None:
    seconds = retry_after_s({"retry-after": text, "retry-after-ms": text})
    assert seconds is None or 0.0 <= seconds <= MAX_RETRY_AFTER_S


@pytest.mark.parametrize("location", [None, "https://elsewhere/" + "x" * 5_000])
@pytest.mark.parametrize("status", [302, 400, 429, 503])
def test_a_failures_message_is_one_short_line_whatever_the_body(status: int, location: str | None) -> None:
    headers = {} if location is None else {"location": location}
    with pytest.raises(RequestError) as raised:
        raise_refusal(Answer(status, headers, b"word\n" * 1_000), ERROR_WORDS)
    assert "\n" not in raised.value.message
    assert len(raised.value.message) <= 500
    assert raised.value.message.startswith(f"HTTP {status}: ")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, Rejected) for status in (302, 400, 404, 405, 422)),
        *((status, Throttled) for status in (429, 498)),
        *((status, Unavailable) for status in (408, 409, 425, 500, 529, 599)),
    ],
)
def test_a_status_stands_for_one_type_of_error(status: int, error: type[RequestError]) -> None:
    with pytest.raises(error) as raised:
        raise_refusal(Answer(status, {}, b"{}"), ERROR_WORDS)
    assert raised.value.status == status


def test_a_code_in_another_place_decides_nothing() -> None:
    body = orjson.dumps({"error": {"message": "context_length_exceeded, perhaps", "code": "other"}})
    with pytest.raises(Rejected) as raised:
        raise_refusal(Answer(400, {}, body), ERROR_WORDS)
    assert raised.value.kind is ErrorKind.REJECTED
