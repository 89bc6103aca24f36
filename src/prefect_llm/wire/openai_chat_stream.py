"""A streamed chat completion: events whose deltas add up to one.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from typing import Any

import msgspec

from prefect_llm.values.errors import BadResponse, Unavailable
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.wire.error_bodies import one_line
from prefect_llm.wire.http import Answer
from prefect_llm.wire.json_text import json_of, read_json
from prefect_llm.wire.openai_chat_shapes import (
    ERROR,
    Chat,
    Choice,
    Message,
    reasoning_of,
    refusal_of,
    says_something,
    text_of,
)
from prefect_llm.wire.openai_chat_tool_calls import joined_calls
from prefect_llm.wire.server_sent_events import events
from prefect_llm.wire.usage import usage_in

END = b"[DONE]"


class _Piece(msgspec.Struct, gc=False):
    delta: Message | None = None
    finish_reason: Any = None
    index: Any = 0
    usage: Any = None
    error: Any = None


class _Event(msgspec.Struct, gc=False):
    choices: list[_Piece] | None = None
    model: Any = None
    usage: Any = None
    x_groq: Any = None
    service_tier: Any = None
    error: Any = None
    object: Any = None
    type: Any = None

    def reported_usage(self) -> Any:
        """The counts, wherever the endpoint puts them: Groq beside the choices, Moonshot inside the last one."""
        if self.usage is not None:
            return self.usage
        if self.x_groq is not None:
            return usage_in(self.x_groq)
        return next((piece.usage for piece in self.choices or () if piece.usage is not None), None)

    def error_in(self, data: bytes) -> bytes | None:
        """The JSON of the error that ends the answer here, if this event is one."""
        if self.object == ERROR or self.type == ERROR or (self.error is not None and says_something(self.error)):
            return data
        for piece in self.choices or ():
            if piece.error is not None and says_something(piece.error):
                return json_of({"error": piece.error}).encode()
        return None


_DECODER = msgspec.json.Decoder(_Event)


def joined(answer: Answer) -> tuple[Chat, bytes | None]:
    """The completion that the events add up to, and the JSON of the error that ended it early, if one did.

    Raises `Unavailable` for a stream that broke off, `BadResponse` for an event that is no part of a completion.
    """
    chat = Chat()
    pieces: list[_Piece] = []
    error: bytes | None = None
    ended = False

    for name, data in events(answer.body, end=END):
        if data == END:
            ended = True
            break
        if name == ERROR.encode():
            error = data
            break
        event = _read(data, answer.status)
        chat.model = event.model or chat.model
        chat.service_tier = event.service_tier or chat.service_tier
        chat.usage = chat.usage if (reported := event.reported_usage()) is None else reported
        pieces += [piece for piece in event.choices or () if not piece.index or piece.index == "0"]
        if (error := event.error_in(data)) is not None:
            break

    reasons = [piece.finish_reason for piece in pieces if piece.finish_reason]  # some say "" until the end
    if error is None and not ended and not reasons:
        raise Unavailable("the stream broke off before its end", kind=ErrorKind.CONNECTION)
    if pieces:
        chat.choices = [Choice(_message(pieces), reasons[-1] if reasons else None)]
    return chat, error


def _read(data: bytes, status: int) -> _Event:
    try:
        return read_json(data, _DECODER)
    except msgspec.ValidationError as error:
        message = f"an event of the stream is no part of a chat completion: {error}: {one_line(data)}"
        raise BadResponse(one_line(message), status=status) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = one_line(f"an event of the stream is not JSON: {one_line(data)}")
        raise BadResponse(message, status=status) from error


def _message(pieces: list[_Piece]) -> Message:
    deltas = [piece.delta for piece in pieces if piece.delta is not None]
    return Message(
        content=_joined([text_of(delta.content) for delta in deltas]),
        refusal=_joined([refusal_of(delta) for delta in deltas]),
        reasoning=_joined([reasoning_of(delta) for delta in deltas]),
        tool_calls=joined_calls([delta for delta in deltas if delta.tool_calls or delta.function_call]),
    )


def _joined(texts: list[str | None]) -> str | None:
    told = [text for text in texts if text is not None]
    return "".join(told) if told else None
