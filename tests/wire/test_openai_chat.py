"""The bodies of chat completions: what is sent, and what is read of an answer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_llm.values.errors import BadResponse, Rejected, RequestError, Unavailable
from prefect_llm.values.outcome import Completion, ErrorKind, Usage
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import AnswerFormat, Parameters, Request
from prefect_llm.wire.http import Answer
from prefect_llm.wire.openai_chat import decode, encode
from prefect_llm.wire.output_limit_names import first_name

HELLO = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüße"})
ANY_JSON = AnswerFormat({"type": "object"}, orjson.loads, name="label")


def request(answer_format: AnswerFormat | None = None, messages: Any = HELLO, **parameters: Any) -> Request:
    """One request for the model `m`."""
    return Request(0, "doc-0", messages, Parameters("m", answer_format=answer_format, **parameters), "fingerprint")


def sent(limit_name: str = "max_tokens", *, strict: bool = True, **parameters: Any) -> Any:
    """The body as the endpoint reads it."""
    return orjson.loads(encode(request(**parameters), limit_name=limit_name, strict=strict))


def completion_body(message: Any, finish_reason: str | None = "stop", **more: Any) -> dict[str, Any]:
    """A completion with one choice."""
    return {"model": "m-1", "choices": [{"message": message, "finish_reason": finish_reason}], **more}


def read(body: Any, answer_format: AnswerFormat | None = None, *, keep_raw: bool = False) -> Completion:
    """The completion in a 200 with that body."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode(Answer(200, {}, raw), request(answer_format), keep_raw=keep_raw)


def failure(body: Any, answer_format: AnswerFormat | None = None) -> RequestError:
    """What a 200 with that body raises."""
    with pytest.raises(RequestError) as raised:
        read(body, answer_format)
    return raised.value


def test_a_request_carries_model_and_messages_and_nothing_unasked() -> None:
    assert sent() == {"model": "m", "messages": list(HELLO)}


def test_parameters_travel_under_their_own_names() -> None:
    body = sent(max_output_tokens=50, temperature=0.0, extra={"top_p": 0.5, "stop": ["\n"]})
    assert body == {
        "model": "m",
        "max_tokens": 50,
        "temperature": 0.0,
        "top_p": 0.5,
        "stop": ["\n"],
        "messages": list(HELLO),
    }


def test_a_schema_travels_as_a_strict_response_format_in_its_strict_form() -> None:
    strict = {"type": "object", "additionalProperties": False}
    assert sent(answer_format=replace(ANY_JSON, strict_schema=strict))["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "label", "strict": True, "schema": strict},
    }


def test_a_schema_travels_as_it_was_given_where_the_endpoint_does_not_ask_for_its_strict_form() -> None:
    strict = {"type": "object", "additionalProperties": False}
    answer_format = replace(ANY_JSON, strict_schema=strict)
    assert sent(strict=False, answer_format=answer_format)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "label", "strict": True, "schema": {"type": "object"}},
    }


def test_a_schema_without_a_strict_form_travels_as_it_is_and_is_not_strict() -> None:
    assert sent(answer_format=ANY_JSON)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "label", "strict": False, "schema": {"type": "object"}},
    }


def test_parts_other_than_text_are_sent_as_they_are() -> None:
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:,x"}}]
    assert sent(messages=[{"role": "user", "content": parts}])["messages"][0]["content"] == parts


def test_two_parameters_of_one_run_are_not_mixed_up() -> None:
    assert sent(temperature=0.1)["temperature"] == 0.1
    assert sent(temperature=0.2)["temperature"] == 0.2


@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://API.OpenAI.com:443/v1", "max_completion_tokens"),
        ("https://openrouter.ai/api/v1", "max_tokens"),
        ("https://api.openai.com.example/v1", "max_tokens"),
        ("http://127.0.0.1:8000/v1", "max_tokens"),
    ],
)
def test_the_output_limit_is_called_as_the_endpoint_calls_it(base_url: str, name: str) -> None:
    assert first_name(Provider(base_url)) == name
    assert sent(name, max_output_tokens=9)[name] == 9


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (
            {
                "prompt_tokens": 120,
                "completion_tokens": 30,
                "prompt_tokens_details": {"cached_tokens": 100},
                "completion_tokens_details": {"reasoning_tokens": 12},
            },
            Usage(120, 100, 30, 12),
        ),
        (
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 8}},
            Usage(9, 1, cache_write_tokens=8),
        ),
        ({"prompt_tokens": 120, "completion_tokens": 30}, Usage(120, None, 30, None)),
        ({"prompt_tokens": 7, "prompt_tokens_details": None, "completion_tokens_details": None}, Usage(7)),
        ({"prompt_tokens": "12", "completion_tokens": -3}, Usage()),
        ({"prompt_tokens": True, "completion_tokens": 1.5}, Usage()),
        (
            {"prompt_tokens": 10.0, "completion_tokens": 5.0, "completion_tokens_details": {"reasoning_tokens": 3.0}},
            Usage(10, None, 5, 3),
        ),
        ({"prompt_tokens": 10**30, "completion_tokens": 2**63 - 1}, Usage(None, None, 2**63 - 1)),
        ({}, Usage()),
        (None, None),
        ("many", None),
    ],
    ids=[
        "OpenAI",
        "cache writes",
        "no details",
        "null details",
        "no counts",
        "other types",
        "whole floats",
        "beyond int64",
        "empty",
        "null",
        "text",
    ],
)
def test_tokens_are_those_counted_and_never_a_guess(usage: Any, tokens: Usage | None) -> None:
    assert read(completion_body({"content": "yes"}, usage=usage)).usage == tokens


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (
            {
                "input_tokens": 120,
                "output_tokens": 30,
                "input_tokens_details": {"cached_tokens": 100},
                "output_tokens_details": {"reasoning_tokens": 12},
                "total_tokens": 150,
            },
            Usage(120, 100, 30, 12),
        ),
        (
            {
                "input_tokens": 20,
                "cache_read_input_tokens": 90,
                "cache_creation_input_tokens": 10,
                "output_tokens": 30,
            },
            Usage(120, 90, 30, cache_write_tokens=10),
        ),
        (
            {"prompt_tokens": 120, "completion_tokens": 30, "cache_read_input_tokens": 90, "total_tokens": 150},
            Usage(120, 90, 30),
        ),
        (
            {
                "prompt_tokens": 120,
                "prompt_cache_hit_tokens": 100,
                "prompt_cache_miss_tokens": 20,
                "completion_tokens": 30,
            },
            Usage(120, 100, 30),
        ),
        ({"prompt_tokens": 120, "completion_tokens": 30, "cached_tokens": 100}, Usage(120, 100, 30)),
        ({"prompt_tokens": 120, "completion_tokens": 30, "num_cached_tokens": 64}, Usage(120, 64, 30)),
        ({"prompt_tokens": 12, "completion_tokens": 30, "reasoning_tokens": 8}, Usage(12, None, 30, 8)),
        (
            {
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "total_tokens": 135,
                "completion_tokens_details": {"reasoning_tokens": 94},
            },
            Usage(32, None, 103, 94),
        ),
        (
            {
                "prompt_tokens": 32,
                "completion_tokens": 103,
                "total_tokens": 135,
                "completion_tokens_details": {"reasoning_tokens": 94},
            },
            Usage(32, None, 103, 94),
        ),
        ({"prompt_tokens": 5, "completion_tokens": 10, "total_tokens": 250}, Usage(5, None, 245, 235)),
        ({"prompt_tokens": 5, "total_tokens": 12}, Usage(5, None, 7)),
        ({"completion_tokens": 7, "total_tokens": 12}, Usage(5, None, 7)),
        ({"total_tokens": 12}, Usage()),
        ({"prompt_tokens": 15, "total_tokens": 12}, Usage()),
        (
            {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 5 + 1 + 9, "reasoning_tokens": 4},
            Usage(),
        ),
    ],
    ids=[
        "Responses",
        "Anthropic",
        "Anthropic behind a gateway",
        "DeepSeek",
        "Moonshot",
        "Mistral",
        "Perplexity",
        "xAI",
        "reasoning inside",
        "Google",
        "no output, but a total",
        "no input, but a total",
        "only a total",
        "a total below its part",
        "a total that reasoning does not explain",
    ],
)
def test_tokens_are_read_as_the_endpoint_spells_them(usage: Any, tokens: Usage) -> None:
    assert read(completion_body({"content": "yes"}, usage=usage)).usage == tokens


def test_groq_counts_beside_the_choices() -> None:
    counts = {"prompt_tokens": 9, "completion_tokens": 2}
    assert read(completion_body({"content": "yes"}, x_groq={"id": "r", "usage": counts})).usage == Usage(9, None, 2)
    assert read(completion_body({"content": "yes"}, x_groq={"id": "r"})).usage is None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("yes", "yes"),
        ("", ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "thinking", "thinking": [{"text": "hm"}]}, {"type": "text", "text": "yes"}], "yes"),
        ([{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "yes"}], "yes"),
        ([{"type": "text", "text": None}, {"type": "text", "text": {"value": "x"}}, "?", None], ""),
    ],
    ids=["text", "empty", "parts", "a thought before it", "a thought that is text", "parts without text"],
)
def test_content_is_the_text_of_the_answer(content: Any, text: str) -> None:
    assert read(completion_body({"content": content})).content == text


def test_finish_reason_and_model_are_the_endpoints_own() -> None:
    completion = read(completion_body({"content": "cut"}, "length"))
    assert (completion.finish_reason, completion.model, completion.raw) == ("length", "m-1", None)


THOUGHTS = [
    {"reasoning_content": "Hm, \ud83d\ude00"},
    {"reasoning": "Hm, 😀"},
    {"reasoning": "Hm, 😀", "reasoning_details": [{"type": "reasoning.text", "text": "Hm, 😀"}]},
    {
        "reasoning_details": [
            {"type": "reasoning.summary", "summary": "Hm, "},
            {"type": "reasoning.text", "text": "😀"},
        ]
    },
    {
        "content": [
            {"type": "thinking", "thinking": [{"text": "Hm, "}, {"text": "😀"}]},
            {"type": "text", "text": "yes"},
        ]
    },
    {"content": [{"type": "reasoning", "text": "Hm, 😀"}, {"type": "text", "text": "yes"}]},
]


@pytest.mark.parametrize("message", THOUGHTS, ids=lambda message: json.dumps(message)[:40])
def test_what_the_model_thought_is_kept_on_demand_and_never_in_content(message: Any) -> None:
    body = json.dumps(completion_body({"content": "yes", **message})).encode()
    kept = decode(Answer(200, {}, body), request(keep_reasoning=True), keep_raw=False)
    assert (kept.content, kept.reasoning) == ("yes", "Hm, 😀")
    assert read(completion_body({"content": "yes", **message})) == replace(kept, reasoning=None)


def test_an_answer_without_thoughts_keeps_none() -> None:
    body = orjson.dumps(completion_body({"content": "yes", "reasoning_content": "", "reasoning": None}))
    assert decode(Answer(200, {}, body), request(keep_reasoning=True), keep_raw=False).reasoning is None


def test_the_raw_answer_is_kept_on_demand() -> None:
    raw = orjson.dumps(completion_body({"content": "yes"}))
    assert read(raw, keep_raw=True).raw == raw


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"choices": [', ErrorKind.BAD_RESPONSE),
        (b"<html>200 but a page</html>", ErrorKind.BAD_RESPONSE),
        (b"", ErrorKind.BAD_RESPONSE),
        (b"\xff\xfe", ErrorKind.BAD_RESPONSE),
        (b"[\xff", ErrorKind.BAD_RESPONSE),
        (b"[" * 100_000, ErrorKind.BAD_RESPONSE),
        (b'[{"error": ', ErrorKind.BAD_RESPONSE),
        (b'[{"object": NaN}]', ErrorKind.BAD_RESPONSE),
        (b'{"usage":' + b"[" * 5_000 + b"]" * 5_000 + b"}", ErrorKind.BAD_RESPONSE),
        ([1, 2], ErrorKind.BAD_RESPONSE),
        ({}, ErrorKind.BAD_RESPONSE),
        ({"choices": []}, ErrorKind.BAD_RESPONSE),
        ({"choices": None}, ErrorKind.BAD_RESPONSE),
        ({"choices": [None]}, ErrorKind.BAD_RESPONSE),
        ({"choices": [{"text": "the old API"}]}, ErrorKind.BAD_RESPONSE),
        (completion_body({"content": None}), ErrorKind.BAD_RESPONSE),
        (completion_body({"content": 7}), ErrorKind.BAD_RESPONSE),
        (completion_body({"content": "no", "refusal": "I will not."}), ErrorKind.REFUSED),
        (completion_body({"content": None}, "content_filter"), ErrorKind.CONTENT_FILTERED),
        (completion_body({"content": None, "refusal": "No."}, "content_filter"), ErrorKind.CONTENT_FILTERED),
    ],
    ids=lambda value: None if isinstance(value, ErrorKind) else repr(value)[:40],
)
def test_a_200_that_cannot_be_used_fails_with_its_own_kind(body: Any, kind: ErrorKind) -> None:
    error = failure(body)
    assert (error.kind, error.status) == (kind, 200)
    assert isinstance(error, Rejected) == (kind in (ErrorKind.REFUSED, ErrorKind.CONTENT_FILTERED))


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [], "usage": {"prompt_tokens": 9}},
        completion_body({"content": None}, usage={"prompt_tokens": 9}),
        completion_body({"content": "I", "refusal": "no"}, usage={"prompt_tokens": 9}),
        completion_body({"content": "I"}, "content_filter", usage={"prompt_tokens": 9}),
    ],
    ids=["no choices", "null", "refused", "filtered"],
)
def test_what_was_billed_is_kept_with_a_failure(body: Any) -> None:
    completion = failure(body).completion
    assert completion is not None
    assert completion.usage == Usage(9)


def test_a_cut_answer_is_a_failure_where_that_was_asked_for() -> None:
    body = json.dumps(completion_body({"content": "Once upon"}, "length", usage={"completion_tokens": 2})).encode()
    with pytest.raises(BadResponse, match="the output limit cut the answer") as failed:
        decode(Answer(200, {}, body), request(fail_truncated=True), keep_raw=False)
    assert failed.value.kind is ErrorKind.TRUNCATED
    assert failed.value.completion is not None
    assert failed.value.completion.content == "Once upon"


def test_content_that_is_neither_text_nor_parts_was_billed_all_the_same() -> None:
    error = failure(completion_body({"content": 7}, usage={"prompt_tokens": 5}))
    assert error.completion is not None
    assert error.completion.usage == Usage(input_tokens=5)


def test_length_is_an_answer_without_a_schema_and_a_failure_with_one() -> None:
    cut = completion_body({"content": '{"label": "po'}, "length")
    assert read(cut).content == '{"label": "po'
    assert failure(cut, ANY_JSON).kind is ErrorKind.TRUNCATED


NOTHING = [{"content": ""}, {"content": " \n"}, {"content": None}, {}, {"content": None, "reasoning": "Hm, let me"}]
THOUGHT = {"completion_tokens": 100, "completion_tokens_details": {"reasoning_tokens": 96}}


@pytest.mark.parametrize("message", NOTHING, ids=str)
@pytest.mark.parametrize("answer_format", [None, ANY_JSON], ids=["text", "schema"])
@pytest.mark.parametrize("reason", ["length", "MAX_TOKENS", "model_length"])
def test_a_thought_that_used_the_whole_limit_up_is_truncated_and_not_paid_for_again(
    message: Any, answer_format: AnswerFormat | None, reason: str
) -> None:
    error = failure(completion_body(message, reason, usage=THOUGHT), answer_format)
    assert (type(error), error.kind, error.status) == (BadResponse, ErrorKind.TRUNCATED, 200)
    assert "reasoning used 96 of 100 output tokens" in error.message
    assert error.completion is not None
    assert error.completion.usage == Usage(None, None, 100, 96)


@pytest.mark.parametrize(
    ("reason", "limit", "usage", "message"),
    [
        (
            "length",
            100,
            {"completion_tokens": 100},
            "the output limit cut the answer before its text began: 100 output tokens were used up; it needs "
            "max_output_tokens above 100",
        ),
        (
            "length",
            None,
            None,
            "the output limit cut the answer before its text began: nothing came but what the model thought; the "
            "limit is the endpoint's own: give max_output_tokens",
        ),
        (
            "model_context_window_exceeded",
            100,
            THOUGHT,
            "the model's context cut the answer before its text began: reasoning used 96 of 100 output tokens; "
            "shorten the document, or ask a model with a longer context",
        ),
        (
            "stop",
            100,
            THOUGHT,
            "the output limit cut the answer before its text began: reasoning used 96 of 100 output tokens; it needs "
            "max_output_tokens above 100",
        ),
    ],
    ids=["limit", "the endpoint's own", "context", "told as an end"],
)
def test_an_empty_answer_says_which_limit_would_have_held_it(
    reason: str, limit: int | None, usage: Any, message: str
) -> None:
    body = orjson.dumps(completion_body({"content": ""}, reason, usage=usage))
    with pytest.raises(BadResponse) as failed:
        decode(Answer(200, {}, body), request(max_output_tokens=limit), keep_raw=False)
    assert (failed.value.kind, failed.value.message) == (ErrorKind.TRUNCATED, message)


def test_an_empty_answer_that_ended_by_itself_is_an_answer() -> None:
    assert read(completion_body({"content": ""}, usage={"completion_tokens": 1})).content == ""


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"content": None, "reasoning_content": "It is yes."}, "10 characters, came as reasoning"),
        ({"reasoning": "It is yes."}, "10 characters, came as reasoning"),
        (
            {"reasoning_details": [{"type": "reasoning.text", "text": "It is yes."}]},
            "10 characters, came as reasoning",
        ),
        ({"content": [{"type": "thinking", "thinking": "It is yes."}]}, "10 characters, came as reasoning"),
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}, "answer with null content"),
        ({"content": None, "tool_calls": [{"function": {"name": "label"}}]}, "tool that it was not offered (label)"),
    ],
    ids=[
        "reasoning_content",
        "reasoning",
        "details",
        "thoughts alone",
        "nothing readable",
        "an unasked call",
    ],
)
def test_a_message_without_content_says_what_came_instead(message: Any, why: str) -> None:
    error = failure(completion_body(message, usage={"prompt_tokens": 9}))
    assert (error.kind, why in error.message) == (ErrorKind.BAD_RESPONSE, True)
    assert error.completion is not None
    assert (error.completion.content, error.completion.usage) == (None, Usage(9))


def test_an_answer_is_parsed_by_its_schema() -> None:
    assert read(completion_body({"content": '{"label": "x"}'}), ANY_JSON).output == {"label": "x"}


def test_an_answer_against_its_schema_keeps_text_and_usage() -> None:
    def refuse(text: str) -> Any:
        raise BadResponse("no label", kind=ErrorKind.SCHEMA_MISMATCH)

    error = failure(completion_body({"content": "{}"}, usage={"prompt_tokens": 9}), AnswerFormat({}, refuse))
    assert (error.kind, error.status) == (ErrorKind.SCHEMA_MISMATCH, 200)
    assert error.completion is not None
    assert (error.completion.content, error.completion.usage) == ("{}", Usage(9))


GIVEN_UP = ["error", "abort", "network_error", "insufficient_system_resource", "ERROR", "cancelled", "TIMEOUT"]


@pytest.mark.parametrize("reason", GIVEN_UP)
def test_a_half_that_the_provider_gave_up_is_its_fault_and_was_billed(reason: str) -> None:
    error = failure(completion_body({"content": "The first half of"}, reason, usage={"completion_tokens": 4}))
    assert (type(error), error.kind, error.status) == (Unavailable, ErrorKind.SERVER_ERROR, 200)
    assert reason in error.message
    assert error.completion is not None
    assert (error.completion.content, error.completion.usage) == ("The first half of", Usage(output_tokens=4))


@pytest.mark.parametrize("reason", ["sensitive", "SAFETY", "content_filter: RECITATION", "PROHIBITED_CONTENT"])
def test_a_filter_is_known_in_other_words(reason: str) -> None:
    assert failure(completion_body({"content": "I"}, reason)).kind is ErrorKind.CONTENT_FILTERED


def test_a_refusal_is_known_by_its_finish_too() -> None:
    error = failure(completion_body({"content": "I will not."}, "refusal"))
    assert (error.kind, error.message) == (ErrorKind.REFUSED, "the model refused: I will not.")


@pytest.mark.parametrize("reason", ["stop", "eos", "", None, "end_turn", "something_new"])
def test_any_other_word_is_an_answers_end(reason: str | None) -> None:
    assert read(completion_body({"content": "yes"}, reason)).content == "yes"


CALLS = [{"id": "c", "type": "function", "function": {"name": "label", "arguments": '{"x": 1}'}}]
OFFERED = {"tools": [{"type": "function", "function": {"name": "label"}}]}


@pytest.mark.parametrize(
    ("message", "calls"),
    [
        ({"content": None, "tool_calls": CALLS}, CALLS),
        ({"content": "I look it up.", "tool_calls": CALLS}, CALLS),
        ({"function_call": CALLS[0]["function"]}, [{"type": "function", "function": CALLS[0]["function"]}]),
    ],
    ids=["alone", "after words", "in the form before 2024"],
)
def test_calls_of_offered_tools_are_the_answer(message: Any, calls: Any) -> None:
    body = orjson.dumps(completion_body(message, "tool_calls", usage={"prompt_tokens": 9}))
    completion = decode(Answer(200, {}, body), request(extra=OFFERED), keep_raw=False)
    assert orjson.loads(completion.content or "") == calls
    assert (completion.finish_reason, completion.usage) == ("tool_calls", Usage(9))


def test_text_is_the_answer_where_tools_were_offered_and_none_was_called() -> None:
    body = orjson.dumps(completion_body({"content": "yes", "tool_calls": []}))
    assert decode(Answer(200, {}, body), request(extra=OFFERED), keep_raw=False).content == "yes"


def test_groqs_own_check_of_the_schema_is_a_mismatch_that_shows_what_was_generated() -> None:
    told = {"message": "Failed to generate JSON.", "type": "invalid_request_error", "code": "json_validate_failed"}
    body = orjson.dumps({"error": {**told, "failed_generation": '{"label": '}})
    for status in (400, 200):
        with pytest.raises(BadResponse) as failed:
            decode(Answer(status, {}, body), request(ANY_JSON), keep_raw=False)
        assert failed.value.kind is ErrorKind.SCHEMA_MISMATCH
        assert failed.value.message.endswith('Failed to generate JSON.: {"label":')
        assert failed.value.completion == Completion('{"label": ')


def test_a_refusal_may_be_a_part_of_the_content() -> None:
    error = failure(completion_body({"content": [{"type": "refusal", "refusal": "I will not."}]}))
    assert (error.kind, error.message) == (ErrorKind.REFUSED, "the model refused: I will not.")


@pytest.mark.parametrize("odd", [7, True, ["x"], {"name": "x"}])
def test_an_odd_field_is_no_reason_to_pay_for_an_answer_again(odd: Any) -> None:
    body = completion_body({"content": "yes", "refusal": odd, "reasoning": odd, "tool_calls": odd}, model=odd)
    body["choices"][0] |= {"finish_reason": odd, "index": odd}
    completion = read(body)
    assert (completion.content, completion.finish_reason, completion.model) == ("yes", None, None)


def test_a_refusals_message_is_one_short_line() -> None:
    error = failure(completion_body({"content": None, "refusal": "I\nwill not. " * 200}))
    assert "\n" not in error.message
    assert len(error.message) <= 500


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(content=JSON, refusal=JSON, finish_reason=JSON, usage=JSON, model=JSON)
def test_whatever_an_endpoint_answers_is_a_completion_or_a_failure(
    content: Any, refusal: Any, finish_reason: Any, usage: Any, model: Any
) -> None:
    choice = {"message": {"content": content, "refusal": refusal}, "finish_reason": finish_reason}
    body = orjson.dumps({"choices": [choice], "usage": usage, "model": model})
    try:
        completion = read(body)
    except RequestError as error:
        assert error.status == 200  # noqa: PT017 - either way of ending is right
    else:
        assert isinstance(completion.content, str)


@given(st.binary(max_size=60), st.sampled_from([200, 302, 400, 404, 429, 500]))
def test_whatever_bytes_come_with_whatever_status_end_as_a_request_error(body: bytes, status: int) -> None:
    with pytest.raises(RequestError):
        decode(Answer(status, {}, body), request(), keep_raw=False)


HALF = rb'"\ud83d"'
ODD: list[Any] = [{}, [], {"a": 1}, ["a"], "error", 10.5, True, None, "\ud83d"]


@pytest.mark.parametrize(
    "body", [HALF, b'"\xff"', b"{%b: 1}" % HALF, b'{"choices": [{"message": {"conten\xe1": 1}}]}']
)
@pytest.mark.parametrize("streamed", [False, True])
def test_half_a_character_in_any_place_is_no_fault_of_ours(body: bytes, streamed: bool) -> None:
    with pytest.raises(RequestError):
        read(b"data: %b\n\ndata: [DONE]\n\n" % body if streamed else body)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_part_of_odd_type_is_text_if_it_has_some(odd: Any, streamed: bool) -> None:
    content = [{"type": odd, "text": "said"}]
    whole = json.dumps(completion_body({"content": content})).encode()
    event = json.dumps({"choices": [{"delta": {"content": content}, "finish_reason": "stop"}]}).encode()
    assert read(b"data: %b\n\ndata: [DONE]\n\n" % event if streamed else whole).content == "said"
