"""The identity of a request. Whoever changes a digest here makes every finished run be paid again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_llm.prompts.answer_schema import answer_format
from prefect_llm.prompts.fingerprint import fingerprint
from prefect_llm.values.request import Parameters

MESSAGES = [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Grüße"}]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "integer"}}}
FULL: dict[str, Any] = {
    "model": "gpt-x",
    "max_output_tokens": 100,
    "temperature": 0.5,
    "extra": {"seed": 7, "stop": ["\n"]},
    "answer_format": answer_format(SCHEMA),
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_the_format_never_changes() -> None:
    assert fingerprint(Parameters("gpt-x"), MESSAGES) == "1059f7e97fe0ca58ff6cf9190532d4bc"
    assert fingerprint(Parameters(**FULL), MESSAGES) == "4eae58a0c24beb51409a294ea3a1a0b3"


@pytest.mark.parametrize(
    "change",
    [
        {"model": "gpt-y"},
        {"max_output_tokens": 101},
        {"max_output_tokens": None},
        {"temperature": 0.0},
        {"temperature": None},
        {"extra": {"seed": 8, "stop": ["\n"]}},
        {"extra": {}},
        {"answer_format": None},
        {"answer_format": answer_format({**SCHEMA, "required": ["a"]})},
        {"answer_format": answer_format({**SCHEMA, "properties": dict(reversed(SCHEMA["properties"].items()))})},
    ],
)
def test_whatever_would_change_the_answer_changes_it(change: dict[str, Any]) -> None:
    assert fingerprint(Parameters(**FULL | change), MESSAGES) != fingerprint(Parameters(**FULL), MESSAGES)


@pytest.mark.parametrize(
    "messages",
    [
        MESSAGES[::-1],
        MESSAGES[1:],
        [MESSAGES[0], {"role": "user", "content": "Grüsse"}],
        [MESSAGES[0], {"role": "tool", "content": "Grüße"}],
    ],
)
def test_other_messages_change_the_fingerprint(messages: list[dict[str, str]]) -> None:
    assert fingerprint(Parameters("m"), messages) != fingerprint(Parameters("m"), MESSAGES)


def test_another_wire_format_changes_the_fingerprint() -> None:
    names = ["openai-chat", "openai-embeddings", "anthropic", "chat "]
    assert len({fingerprint(Parameters("m"), MESSAGES, name) for name in names}) == len(names)
    assert fingerprint(Parameters("m"), MESSAGES, "openai-chat") == fingerprint(Parameters("m"), MESSAGES)


def test_zero_is_zero_however_it_is_written() -> None:
    whole, decimal = Parameters("m", temperature=0), Parameters("m", temperature=0.0)
    assert fingerprint(whole, MESSAGES) == fingerprint(decimal, MESSAGES)


@settings(deadline=None)  # the machine may be busy
@given(extra=st.dictionaries(st.text(min_size=1, max_size=5), JSON, max_size=4), message=st.data())
def test_the_order_of_names_does_not_matter(extra: dict[str, Any], message: st.DataObject) -> None:
    first = message.draw(st.dictionaries(st.text(max_size=5), JSON, min_size=1, max_size=4))
    straight = fingerprint(Parameters("m", extra=extra), [first])
    backwards = dict(reversed(extra.items())), dict(reversed(first.items()))
    assert fingerprint(Parameters("m", extra=backwards[0]), [backwards[1]]) == straight


@settings(deadline=None)  # the machine may be busy
@given(one=JSON, other=JSON)
def test_different_content_has_different_fingerprints(one: Any, other: Any) -> None:
    same = fingerprint(Parameters("m"), [{"content": one}]) == fingerprint(Parameters("m"), [{"content": other}])
    assert same == (_spelt(one) == _spelt(other))


def _spelt(value: Any) -> str:
    """A spelling of JSON that tells `1` from `true` and forgets the order of names."""
    if isinstance(value, dict):
        return f"dict {sorted((key, _spelt(each)) for key, each in value.items())}"
    return f"list {[_spelt(each) for each in value]}" if isinstance(value, list) else f"{type(value)} {value!r}"
