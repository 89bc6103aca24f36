"""JSON that is not quite JSON is read all the same; what is none is not."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_llm.wire.json_text import is_json, json_of, read_json, sound_json, whole

DECODER: msgspec.json.Decoder[dict[str, str]] = msgspec.json.Decoder(dict[str, str])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"a": "yes"}', "yes"),
        (b'\xef\xbb\xbf{"a": "yes"}', "yes"),
        (b'{"a": "Great \\ud83d"}', "Great \ufffd"),
        (b'{"a": "\\ude00 day"}', "\ufffd day"),
        (b'{"a": "\\ud83d\\ude00"}', "\U0001f600"),
        (b'{"a": "\\\\ud83d"}', "\\ud83d"),
        (b'{"a": "caf\xe9"}', "caf\ufffd"),
        (b'{"a": "caf\xc3\xa9 \xff"}', "caf\xe9 \ufffd"),
        (b'{"a": "two\nlines\tand"}', "two\nlines\tand"),
        (b'{"a": "\\ud83d\\udc80 \\udc80"}', "\U0001f480 \ufffd"),
    ],
    ids=[
        "sound", "byte order mark", "half at the end", "half at the start", "both halves", "an escaped backslash",
        "Latin-1", "half UTF-8", "raw line break", "a half that looks like a byte",
    ],
)  # fmt: skip
def test_text_is_read_and_what_cannot_be_is_replaced(data: bytes, text: str) -> None:
    assert whole(read_json(data, DECODER)["a"]) == text
    assert json.loads(sound_json(data))["a"] == text
    assert is_json(data)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b'{"a": "b"} c', b"<html>", b'{"a": \xe9}'])
def test_what_is_no_json_is_none(data: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        read_json(data, DECODER)
    assert sound_json(data) == data
    assert not is_json(data)


def test_what_is_no_number_of_json_is_null() -> None:
    assert json.loads(sound_json(b'{"a": NaN, "b": -Infinity}')) == {"a": None, "b": None}


def test_another_shape_is_told_from_no_json() -> None:
    with pytest.raises(msgspec.ValidationError):
        read_json(b"\xef\xbb\xbf[]", DECODER)


@given(st.text(st.characters(exclude_categories=())))
def test_whole_text_can_be_written_and_stays_as_it_is_where_it_could_be(text: str) -> None:
    mended = whole(text)
    mended.encode()
    assert whole(mended) == mended
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert mended == text


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_a_value_is_the_same_after_it_was_written(value: Any) -> None:
    assert json.loads(json_of(value)) == value
