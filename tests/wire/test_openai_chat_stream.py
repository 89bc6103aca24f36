"""Streamed chat completions: what the events add up to, and what those that are none mean."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.submitting import requests
from tests.wire.streamed import DONE, STREAM, USAGE, USED, WHOLE, event

from prefect_llm.values.errors import BadResponse, Rejected, RequestError, Throttled, Unavailable
from prefect_llm.values.outcome import Completion, ErrorKind, Usage
from prefect_llm.wire.http import Answer
from prefect_llm.wire.openai_chat import decode


def decoded(body: str | bytes, content_type: str = STREAM["content-type"], *, keep_raw: bool = False) -> Completion:
    """The completion in a streamed answer."""
    (request,) = requests(1)
    raw = body if isinstance(body, bytes) else body.encode()
    return decode(Answer(200, {"content-type": content_type}, raw), request, keep_raw=keep_raw)


def failure(body: str) -> RequestError:
    """What a streamed answer fails with."""
    with pytest.raises(RequestError) as failed:
        decoded(body)
    return failed.value


@pytest.mark.parametrize(
    "body",
    [
        WHOLE,
        WHOLE.replace("\n", "\r\n"),
        WHOLE.replace("\n", "\r"),
        ": ping\n\n" + WHOLE.replace("data: ", "event: chunk\ndata:"),
        WHOLE.replace(DONE, ""),
        event("Hello", finish="stop", usage={"prompt_tokens": 9, "completion_tokens": 1}) + USED,
        event("Hello") + DONE.replace(DONE, event(None, finish="stop")) + USED + DONE,
        WHOLE.replace('{"model"', '{\ndata: "model"'),
        WHOLE.removesuffix("\n\n"),
        WHOLE.replace(DONE, "data: [DO"),
        WHOLE.replace('"finish_reason": null', '"finish_reason": ""'),
        WHOLE.replace('"index": 0', '"index": null'),
        WHOLE.replace('"index": 0', '"index": "0"'),
        WHOLE.replace('"model"', '"error": null, "model"').replace('{"choices": []', '{"error": {}, "choices": []'),
        WHOLE + event("!"),
    ],
    ids=[
        "plain", "CRLF", "CR", "comments", "no DONE", "usage in each", "empty delta", "data on several lines",
        "no last blank line", "cut after all was said", "no reason as an empty text", "null index",
        "an index in text", "no error", "more after its end",
    ],
)  # fmt: skip
def test_deltas_add_up_to_the_completion(body: str) -> None:
    completion = decoded(body)
    assert (completion.content, completion.finish_reason) == ("Hello", "stop")
    assert completion.usage == Usage(9, None, 2, None)
    assert completion.model == "m-1"


@pytest.mark.parametrize(
    "last",
    [
        f"data: {json.dumps({'choices': [], 'x_groq': {'id': 'r', 'usage': USAGE}})}\n\n",
        f"data: {json.dumps({'choices': [{'delta': {}, 'finish_reason': 'stop', 'usage': USAGE}]})}\n\n",
    ],
    ids=["Groq, beside the choices", "Moonshot, in the last choice"],
)
def test_a_stream_may_count_its_tokens_elsewhere(last: str) -> None:
    assert decoded(WHOLE.replace(USED, last)).usage == Usage(9, None, 2, None)


@pytest.mark.parametrize("content_type", ["Text/Event-Stream", "text/plain", "application/json"])
def test_a_stream_is_read_whatever_it_is_called_and_kept_as_it_came(content_type: str) -> None:
    completion = decoded(WHOLE, content_type, keep_raw=True)
    assert (completion.content, completion.raw) == ("Hello", WHOLE.encode())


def test_an_answer_that_came_whole_is_read_though_it_is_called_a_stream() -> None:
    assert decoded(b'{"choices": [{"message": {"content": "Hello"}}]}').content == "Hello"


@pytest.mark.parametrize(
    "body",
    [
        event("Nice \ud83d") + event("\ude00 day", finish="stop") + DONE,
        (event("Nice X") + event("Y day", finish="stop"))
        .encode()
        .replace(b"X", b"\xf0\x9f")
        .replace(b"Y", b"\x98\x80"),
        b"\xef\xbb\xbf" + (event("Nice \ud83d\ude00") + event(" day", finish="stop")).encode(),
    ],
    ids=["two halves", "bytes of one", "a byte order mark"],
)
def test_a_character_split_over_two_events_is_whole(body: str | bytes) -> None:
    assert decoded(body).content == "Nice 😀 day"


def test_half_a_character_in_a_stream_is_a_replacement_character() -> None:
    assert decoded(event("Great \ud83d", finish="stop") + DONE).content == "Great \ufffd"
    assert decoded((event("Great ") + event("\udc80", finish="stop")).strip()).content == "Great \ufffd"


def delta(finish: str | None = None, **message: object) -> str:
    """An event that adds this to the message."""
    return f"data: {json.dumps({'choices': [{'delta': message, 'finish_reason': finish}]})}\n\n"


def test_what_the_model_thinks_is_no_content() -> None:
    body = delta(reasoning_content="Hm, ") + delta(reasoning="so yes.") + event("Hello", finish="stop") + DONE
    assert decoded(body).content == "Hello"
    (request,) = requests(1)
    request = replace(request, parameters=replace(request.parameters, keep_reasoning=True))
    assert decode(Answer(200, STREAM, body.encode()), request, keep_raw=False).reasoning == "Hm, so yes."
    null = failure(delta(reasoning_content="Hm, ") + delta("stop", reasoning_content="so yes.") + DONE)
    assert "all of its text, 11 characters, came as reasoning" in null.message


def call(index: int | None, **more: object) -> dict[str, object]:
    """A part of a call."""
    return more if index is None else {"index": index, **more}


FIRST, SECOND = {"name": "label", "arguments": ""}, {"name": "find", "arguments": "{}"}


@pytest.mark.parametrize(
    "parts",
    [
        [
            call(0, id="a", type="function", function=FIRST),
            call(0, function={"arguments": '{"x"'}),
            call(0, function={"arguments": ": 1}"}),
            call(1, id="b", type="function", function=SECOND),
        ],
        [
            call(0, id="a", type="function", function={**FIRST, "arguments": '{"x": 1}'}),
            call(0, id="b", type="function", function=SECOND),
        ],
        [
            call(None, id="a", type="function", function={**FIRST, "arguments": '{"x"'}),
            call(None, id="a", function={"name": "label", "arguments": ": 1}"}),
            call(None, id="b", type="function", function=SECOND),
        ],
    ],
    ids=["by index", "whole, all with index 0", "without an index, every part named"],
)
def test_the_calls_of_a_stream_add_up(parts: list[dict[str, object]]) -> None:
    body = "".join(delta(tool_calls=[part]) for part in parts) + delta("tool_calls") + DONE
    (request,) = requests(1)
    request = replace(request, parameters=replace(request.parameters, extra={"tools": []}))
    completion = decode(Answer(200, STREAM, body.encode()), request, keep_raw=False)
    assert json.loads(completion.content or "") == [
        {"id": "a", "type": "function", "function": {"name": "label", "arguments": '{"x": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "find", "arguments": "{}"}},
    ]
    assert completion.finish_reason == "tool_calls"


def test_a_stream_that_only_thought_is_truncated() -> None:
    error = failure(delta(reasoning_content="Hm, ") + event(finish="length", usage=USAGE) + DONE)
    assert (error.kind, error.status) == (ErrorKind.TRUNCATED, 200)
    assert error.completion is not None
    assert error.completion.usage == Usage(9, None, 2)


def test_what_a_given_up_stream_had_used_is_billed() -> None:
    error = failure(event("The first half of") + event(finish="error", usage=USAGE) + DONE)
    assert isinstance(error, Unavailable)
    assert error.completion is not None
    assert (error.completion.content, error.completion.usage) == ("The first half of", Usage(9, None, 2))


@pytest.mark.parametrize("done", [DONE, DONE.strip()], ids=["ended", "no last blank line"])
def test_done_is_an_end_without_a_reason_too(done: str) -> None:
    completion = decoded(event("Hello") + done)
    assert (completion.content, completion.finish_reason) == ("Hello", None)


def test_only_the_first_of_several_choices_counts() -> None:
    other = event("no", finish="stop").replace('"index": 0', '"index": 1')
    assert decoded(event("yes", finish="stop") + other + DONE).content == "yes"


def test_content_may_come_in_parts() -> None:
    parts = event("?", finish="stop").replace('"?"', '[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]')
    assert decoded(parts + DONE).content == "ab"


@pytest.mark.parametrize(
    "body",
    [
        "",
        ": ping\n\n",
        event("Hel"),
        event("Hel") + USED,
        event("Hel", finish=""),
        event("Hel") + event("lo", finish="stop")[:-9],
        event("Hel") + "dat",
    ],
    ids=["empty", "a comment", "no reason", "usage but no reason", "an empty reason", "in an event", "in a name"],
)
def test_a_stream_that_ends_without_an_end_was_cut(body: str) -> None:
    error = failure(body)
    assert isinstance(error, Unavailable)
    assert error.kind is ErrorKind.CONNECTION


def test_a_stream_without_a_choice_or_content_is_no_answer() -> None:
    assert "without choices" in failure(USED + DONE).message
    null = failure(event(finish="stop") + USED + DONE)
    assert "null content" in null.message
    assert null.completion is not None
    assert null.completion.usage == Usage(9, None, 2, None)


def test_a_refusal_is_told_in_deltas_too() -> None:
    body = event(finish="stop").replace('"delta": {}', '"delta": {"refusal": "I will not."}')
    assert failure(body + DONE).kind is ErrorKind.REFUSED


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        ({"message": "overloaded", "type": "overloaded_error"}, Unavailable, 500),
        ({"message": "upstream", "code": 502}, Unavailable, 502),
        ({"message": "slow down", "code": "rate_limit_exceeded"}, Throttled, 429),
        ({"message": "too long", "code": "context_length_exceeded"}, Rejected, 400),
        ({"message": "no such model", "code": "model_not_found"}, Rejected, 404),
        ({"message": "slow down", "code": "429"}, Throttled, 429),
        ({"message": "slow down", "code": 429, "status": "RESOURCE_EXHAUSTED"}, Throttled, 429),
        ({"message": "no such request", "code": 40}, Unavailable, 500),
        ("broken", Unavailable, 500),
    ],
    ids=str,
)
def test_an_error_among_the_events_means_what_its_status_would(
    error: object, kind: type[RequestError], status: int
) -> None:
    found = failure(event("Hel") + f"data: {json.dumps({'error': error})}\n\n")
    assert isinstance(found, kind)
    assert found.status == status


@pytest.mark.parametrize(
    ("told", "kind", "status"),
    [
        ('event: error\ndata: {"message": "busy", "type": "overloaded_error"}\n\n', Unavailable, 500),
        ('event: error\ndata: {"message": "slow down", "code": 429}\n\n', Throttled, 429),
        ("event: error\ndata: upstream is gone\n\n", Unavailable, 500),
        ('data: {"object": "error", "message": "no", "type": "BadRequestError", "code": 400}\n\n', Rejected, 400),
        ('data: {"type": "error", "message": "no"}\n\n', Unavailable, 500),
    ],
    ids=["named", "named with a status", "named, in plain words", "vLLM's", "by its type"],
)
def test_text_before_an_error_is_no_answer_however_the_error_is_told(
    told: str, kind: type[RequestError], status: int
) -> None:
    found = failure(event("Hel") + told + DONE)
    assert isinstance(found, kind)
    assert found.status == status


STREAMED = st.lists(st.sampled_from([*WHOLE.splitlines(keepends=True), "event: error\n", '{"choices": 1}', "data:"]))


@given(STREAMED.map("".join).map(str.encode) | st.binary(max_size=60).map(b"data: ".__add__))
def test_whatever_is_streamed_is_a_completion_or_a_failure(body: bytes) -> None:
    try:
        assert decoded(body).content is not None
    except RequestError as error:
        assert error.message  # noqa: PT017 - either way of ending is right


@pytest.mark.parametrize("data", ['{"choices": [', "upstream is gone", '{"choices": 1}'])
def test_an_event_that_is_none_makes_the_answer_unusable_and_is_quoted(data: str) -> None:
    error = failure(event("Hel") + f"data: {data}\n\n" + event("lo", finish="stop") + DONE)
    assert isinstance(error, BadResponse)
    assert data in error.message
    assert "Hel" not in error.message
