"""A document's own `messages` column: read, checked, and sent as it is."""

from __future__ import annotations

from typing import Any

import orjson

from prefect_llm.values.errors import BadDocument
from prefect_llm.values.formatting import one_line
from prefect_llm.values.request import Message

COLUMN = "messages"
_CALLS = ("tool_calls", "function_call")


def column_messages(value: Any) -> list[Message]:
    """The messages in a list of objects or in JSON text.

    Null members are left out, in JSON text too: Arrow and `json.dumps` fill what one message lacks and another has
    with nulls, which APIs refuse. The null content of a message with tool calls stays. Raises `BadDocument`.
    """
    if value is None:
        raise BadDocument(f"column {COLUMN!r} is null")
    if isinstance(value, str):
        try:
            messages = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise BadDocument(one_line(f"column {COLUMN!r} is not JSON: {error}")) from error
    else:
        messages = value

    if not isinstance(messages, list) or not messages:
        raise BadDocument(f"column {COLUMN!r} must be a list of at least one message")

    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadDocument(f"column {COLUMN!r}: message {number} is not an object with a text 'role'")

    return [_message(message) for message in messages]


def _message(message: dict[str, Any]) -> Message:
    """A message without nulls, but for the content that an assistant's calls stand for."""
    kept: dict[str, Any] = _without_nulls(message)
    if any(name in kept for name in _CALLS) and message.get("content", "") is None:
        return {name: kept.get(name) for name in message if name in kept or name == "content"}
    return kept


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value
