"""Error bodies as endpoints spell them."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_llm.values.errors import Rejected, RequestError, Throttled, Unavailable
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.wire.error_bodies import one_line, raise_embedded_error, raise_refusal, read_complaint
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
        ([{"error": {"message": "x"}}], "x", None),
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
        *((status, Unavailable) for status in (408, 409, 424, 425, 499, 500, 529, 599)),
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


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": "Bad Request", "message": "why"}, "why"),
        ({"statusCode": 400, "error": "Bad Request", "message": "it lacks a field"}, "it lacks a field"),
        ({"error": "invalid_request", "error_description": "it lacks a field"}, "it lacks a field"),
        ({"error": "Unauthorized"}, "Unauthorized"),
        (
            {"statusCode": 400, "error": "Bad Request", "message": ["a is short", "b is long"]},
            "a is short; b is long",
        ),
        ({"error": "Bad Request", "details": "it lacks a field"}, "it lacks a field"),
        (
            {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "it lacks a field"},
            "it lacks a field",
        ),
        ([{"error": {"message": "not valid", "details": [{"reason": "API_KEY_INVALID"}]}}], "not valid"),
        ({"errors": ["it lacks a field"]}, "it lacks a field"),
        (
            {"error": {"message": "Provider returned error", "metadata": {"raw": "it is down"}}},
            "Provider returned error",
        ),
        (
            {"error": {"message": "Provider returned error", "metadata": {"raw": '{"detail":"it is down"}'}}},
            "Provider returned error: it is down",
        ),
        ({"error": {"message": '{"error":{"message":"inner"}}'}}, "inner"),
        (
            {"errors": [{"message": "first one", "code": 5007}, {"message": "second one"}], "success": False},
            "first one: second one",
        ),
        ({"detail": [{"loc": ["body", "messages", 0], "msg": "Field required"}]}, "messages.0: Field required"),
        ({"detail": {"error": {"message": "nested"}}}, "nested"),
        ({"error": {"message": "the same", "provider_specific_fields": {"error": "the same"}}}, "the same"),
        ({"object": "error", "message": {"detail": [{"loc": ["body", "x"], "msg": "no"}]}}, "x: no"),
        ({"code": "denied", "error": "not this one"}, "not this one"),
        ([], "[]"),
        ({}, "{}"),
    ],
    ids=lambda value: None if isinstance(value, str) else str(value)[:40],
)
def test_the_sentence_is_found_in_any_wrapping(body: object, text: str) -> None:
    assert read_complaint(orjson.dumps(body)).text == text


NGINX = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n"
    b"<hr><center>nginx/1.27.0</center>\r\n</body>\r\n</html>\r\n"
)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (NGINX, "HTTP 502: Bad Gateway nginx/1.27.0"),
        (
            b"<!DOCTYPE html><head><title>Down</title><style>a{}</style></head><body>for a while</body>",
            "Down for a while",
        ),
        (b"\xef\xbb\xbf<!-- v1 --><HTML><body>closed<script>var a", "HTTP 502: closed"),
        (
            b"<html><head>" + b"<style>x</style>" * 2_000 + b"</head><body>far below</body></html>",
            "HTTP 502: far below",
        ),
    ],
    ids=["nginx", "a title of its own", "cut", "long styles"],
)
def test_a_page_is_read_as_what_it_shows_and_each_thing_once(page: bytes, message: str) -> None:
    with pytest.raises(Unavailable) as raised:
        raise_refusal(Answer(502, {}, page), ERROR_WORDS)
    assert raised.value.message.endswith(message)


@pytest.mark.parametrize("times", [50, 5_000])
def test_a_body_that_nests_without_end_is_read_in_part(times: int) -> None:
    body = b'{"error": [' * times + b'{"code": "insufficient_quota"}' + b"]}" * times
    assert read_complaint(body).codes == frozenset()


NAMES = (
    "error",
    "errors",
    "code",
    "type",
    "status",
    "message",
    "detail",
    "details",
    "param",
    "loc",
    "raw",
    "headers",
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 999)
    | st.floats(allow_nan=False)
    | st.sampled_from(NAMES)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
)


@given(JSON, st.sampled_from([200, 302, 400, 403, 413, 429, 500]))
def test_whatever_json_a_body_is_there_is_one_short_line_about_it(told: object, status: int) -> None:
    try:
        body = orjson.dumps(told)
    except TypeError:  # lone surrogates
        return
    with pytest.raises(RequestError) as failed:
        raise_refusal(Answer(status, {}, body), ERROR_WORDS)
    with pytest.raises(RequestError) as embedded:
        raise_embedded_error(Answer(200, {}, body), body, ERROR_WORDS)
    for error in (failed.value, embedded.value):
        assert "\n" not in error.message
        assert len(error.message) <= 500


def test_a_body_of_many_errors_is_read_in_part() -> None:
    body = {"errors": [{"message": f"error {number:04}"} for number in range(5_000)]}
    assert read_complaint(orjson.dumps(body)).text.startswith("error 0000: error 0001: ")
