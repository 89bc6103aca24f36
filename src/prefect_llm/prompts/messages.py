"""A document's own conversation, in the column `messages` or another: read, checked, and sent as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from prefect_llm.values.errors import BadDocument
from prefect_llm.values.formatting import one_line
from prefect_llm.values.request import Message

COLUMN = "messages"
_CALLS = ("tool_calls", "function_call")
_SHAREGPT_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
}
"""The words for `from` in ShareGPT's form, `{"from": "human", "value": "Hi"}`."""


def root_of(column: str) -> str:
    """The column that a path such as `body.messages` begins with."""
    return column.partition(".")[0]


def column_messages(fields: Mapping[str, Any], column: str = COLUMN) -> list[Message]:
    """The messages of a document: a list of objects or JSON text, in the column or at a path into it.

    Null members are left out, in JSON text too: Arrow and `json.dumps` fill what one message lacks and another has
    with nulls, which APIs refuse. The null content of a message with tool calls stays. Raises `BadDocument`.
    """
    messages = _at(fields, column)
    if not isinstance(messages, list) or not messages:
        raise BadDocument(f"column {column!r} must be a list of at least one message")

    return [_message(message, number, column) for number, message in enumerate(messages, start=1)]


def _at(fields: Mapping[str, Any], path: str) -> Any:
    """The value at a path, JSON text read on the way."""
    value: Any = fields
    names = path.split(".")
    for depth, name in enumerate(names, start=1):
        place = ".".join(names[:depth])
        if not isinstance(value, Mapping):
            raise BadDocument(f"column {path!r}: {'.'.join(names[: depth - 1])!r} is not an object")
        value = value.get(name)
        if value is None:
            raise BadDocument(f"column {place!r} is null")
        if isinstance(value, str):
            value = _parsed(value, place)
    return value


def _parsed(text: str, column: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadDocument(one_line(f"column {column!r} is not JSON: {error}")) from error


def _message(message: Any, number: int, column: str) -> Message:
    """A message without nulls, but for the content that an assistant's calls stand for."""
    if not isinstance(message, dict):
        raise BadDocument(f"column {column!r}: message {number} is not an object with a text 'role'")
    if "role" not in message and "from" in message and "value" in message:
        return _of_sharegpt(message, number, column)
    if not isinstance(message.get("role"), str):
        raise BadDocument(f"column {column!r}: message {number} is not an object with a text 'role'")

    kept: dict[str, Any] = _without_nulls(message)
    if any(name in kept for name in _CALLS) and message.get("content", "") is None:
        return {name: kept.get(name) for name in message if name in kept or name == "content"}
    return kept


def _of_sharegpt(message: dict[str, Any], number: int, column: str) -> Message:
    role, content = message["from"], message["value"]
    if role not in _SHAREGPT_ROLES:
        known = ", ".join(_SHAREGPT_ROLES)
        raise BadDocument(f"column {column!r}: message {number} is from {role!r}, which is none of {known}")
    if not isinstance(content, str):
        raise BadDocument(f"column {column!r}: the value of message {number} is not text")
    return {"role": _SHAREGPT_ROLES[role], "content": content}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value
