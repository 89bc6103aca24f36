"""The composition: fields to a request."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
import pytest

from prefect_llm.prompts import Prompt, PromptSpec
from prefect_llm.values.errors import BadDocument, InvalidInput
from prefect_llm.values.outcome import ErrorKind


def test_a_template_makes_one_user_message() -> None:
    request = Prompt(PromptSpec(model="m", template="Say {{ x }}")).request(7, "doc-7", {"x": "hi"})
    assert request.messages == [{"role": "user", "content": "Say hi"}]
    assert (request.row_index, request.document_id) == (7, "doc-7")
    assert request.parameters.model == "m"


def test_a_system_template_comes_first_and_sees_the_same_fields() -> None:
    prompt = Prompt(PromptSpec(model="m", template="{{ x }}", system="Speak {{ lang }}"))
    messages = prompt.request(0, "1", {"x": "hi", "lang": "French"}).messages
    assert messages == [{"role": "system", "content": "Speak French"}, {"role": "user", "content": "hi"}]


def test_requests_share_the_runs_parameters() -> None:
    prompt = Prompt(PromptSpec(model="m", template="{{ x }}", max_output_tokens=5, params={"seed": 1}))
    first, second = prompt.request(0, "1", {"x": "a"}), prompt.request(1, "2", {"x": "b"})
    assert first.parameters is second.parameters is prompt.parameters
    assert (prompt.parameters.max_output_tokens, prompt.parameters.extra) == (5, {"seed": 1})


def test_a_failed_document_is_a_bad_document_and_the_next_one_is_fine() -> None:
    prompt = Prompt(PromptSpec(model="m", template="{{ x }}"))
    with pytest.raises(BadDocument) as caught:
        prompt.request(0, "1", {"x": None})
    assert caught.value.kind is ErrorKind.BAD_DOCUMENT
    assert prompt.request(1, "2", {"x": "a"}).messages[0]["content"] == "a"


def test_a_system_template_beside_a_messages_column_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'messages' is sent as it is"):
        Prompt(PromptSpec(model="m", template=None, system="Be kind"))


def test_the_spec_is_plain_json() -> None:
    spec = PromptSpec(model="m", template="{{ x }}", params={"seed": 1}, schema={"type": "object"})
    assert PromptSpec(**orjson.loads(orjson.dumps(dataclasses.asdict(spec)))) == spec


def test_a_list_of_messages_is_sent_without_arrows_nulls() -> None:
    messages = [
        {"role": "system", "content": "Be kind", "name": None},
        {"role": "user", "content": [{"type": "text", "text": "hi", "image_url": None}], "name": "ann"},
    ]
    assert asked(messages) == [
        {"role": "system", "content": "Be kind"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}], "name": "ann"},
    ]


def test_messages_as_json_text_are_sent_as_they_are() -> None:
    messages = [{"role": "assistant", "content": None, "tool_calls": []}, {"role": "user", "content": "hi"}]
    assert asked(orjson.dumps(messages).decode()) == messages


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("calls", [{"tool_calls": [{"id": "1"}]}, {"function_call": {"name": "f"}}])
def test_nulls_are_left_out_but_for_the_content_beside_an_assistants_calls(as_text: bool, calls: Any) -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "hi", "image_url": None}], "name": None},
        {"role": "assistant", "content": None, "name": None, **calls},
        {"role": "tool", "content": "1", "tool_calls": None},
        {"role": "user", "content": None},
    ]
    assert asked(orjson.dumps(messages).decode() if as_text else messages) == [
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"role": "assistant", "content": None, **calls},
        {"role": "tool", "content": "1"},
        {"role": "user"},
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "is null"),
        ("", "is not JSON"),
        ("hello", "is not JSON"),
        ("[]", "at least one message"),
        ([], "at least one message"),
        ('{"role": "user"}', "at least one message"),
        (7, "at least one message"),
        (["hello"], "message 1 is not an object"),
        ([{"role": "user", "content": "a"}, {"role": None, "content": "b"}], "message 2 is not an object"),
        ([{"role": "user", "content": b"\xff"}], "cannot be sent as JSON"),
        ([{"role": "user", "content": "\ud800"}], "cannot be sent as JSON"),
    ],
)
def test_messages_that_are_none_fail_their_row(value: Any, said: str) -> None:
    with pytest.raises(BadDocument) as caught:
        asked(value)
    assert said in caught.value.message


CHAT = [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Hi"}]
SHAREGPT = [{"from": "system", "value": "Be kind"}, {"from": "human", "value": "Hi"}]


@pytest.mark.parametrize(
    ("column", "fields"),
    [
        ("prompt", {"prompt": CHAT}),
        ("prompt", {"prompt": orjson.dumps(CHAT).decode()}),
        ("conversations", {"conversations": SHAREGPT}),
        ("conversations", {"conversations": orjson.dumps(SHAREGPT).decode()}),
        ("body.messages", {"body": {"model": "x", "messages": CHAT}}),
        ("body.messages", {"body": orjson.dumps({"messages": CHAT}).decode()}),
        ("body.messages", {"body": {"messages": orjson.dumps(CHAT).decode()}}),
    ],
)
def test_a_chat_may_be_in_another_column_form_or_object(column: str, fields: Any) -> None:
    prompt = Prompt(PromptSpec(model="m", template=None, messages_column=column))
    assert prompt.columns.needed == fields.keys() == {prompt.sent}
    assert prompt.request(0, "1", fields).messages == CHAT


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"body": None}, "column 'body' is null"),
        ({"body": {"messages": None}}, "column 'body.messages' is null"),
        ({"body": [1]}, "column 'body.messages': 'body' is not an object"),
        ({"body": "{"}, "column 'body' is not JSON"),
        (
            {"body": {"messages": [{"from": "moon", "value": "x"}]}},
            "message 1 is from 'moon', which is none of system",
        ),
        ({"body": {"messages": [{"from": "gpt", "value": None}]}}, "the value of message 1 is not text"),
    ],
)
def test_a_chat_that_is_none_fails_its_row_and_names_the_place(fields: Any, said: str) -> None:
    with pytest.raises(BadDocument) as caught:
        Prompt(PromptSpec(model="m", template=None, messages_column="body.messages")).request(0, "1", fields)
    assert said in caught.value.message


def test_a_prompt_and_a_column_of_chats_stand_for_each_other() -> None:
    with pytest.raises(InvalidInput, match="a prompt and messages_column are both given"):
        Prompt(PromptSpec(model="m", template="x", messages_column="chat"))


def asked(messages: Any) -> Any:
    prompt = Prompt(PromptSpec(model="m", template=None))
    return prompt.request(0, "1", {"messages": messages}).messages
