"""A document's own `messages` column: read, checked, and sent as it is."""

from __future__ import annotations

from typing import Any

import orjson

from prefect_llm.values.errors import BadDocument
from prefect_llm.values.formatting import one_line
from prefect_llm.values.request import Message

COLUMN = "messages"


def column_messages(value: Any) -> list[Message]:
    """The messages in a list of objects or in JSON text.

    Arrow fills what one struct lacks and another has with nulls, so null members of a list are left out; JSON
    text says what it means and stays untouched. Raises `BadDocument`.
    """
    if value is None:
        raise BadDocument(f"column {COLUMN!r} is null")
    if isinstance(value, str):
        try:
            messages = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise BadDocument(one_line(f"column {COLUMN!r} is not JSON: {error}")) from error
    else:
        messages = _without_nulls(value)

    if not isinstance(messages, list) or not messages:
        raise BadDocument(f"column {COLUMN!r} must be a list of at least one message")

    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadDocument(f"column {COLUMN!r}: message {number} is not an object with a text 'role'")

    return messages


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value
