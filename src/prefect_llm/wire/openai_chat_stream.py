"""A streamed chat completion: events whose deltas add up to one.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from typing import Any

import msgspec

from prefect_llm.values.errors import Unavailable
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.wire.error_bodies import raise_embedded_error
from prefect_llm.wire.http import Answer
from prefect_llm.wire.openai_chat_shapes import Chat, Choice, Message, text_of
from prefect_llm.wire.openai_error_words import ERROR_WORDS
from prefect_llm.wire.server_sent_events import events
from prefect_llm.wire.usage import usage_in

END = b"[DONE]"
ERROR = "error"
"""How an event says that it is an error: by its name, its `object` (vLLM) or its `type` (Anthropic)."""


class _Delta(msgspec.Struct, gc=False):
    content: Any = None
    refusal: str | None = None


class _Piece(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    finish_reason: str | None = None
    index: int | None = 0
    usage: Any = None


class _Event(msgspec.Struct, gc=False):
    choices: list[_Piece] | None = None
    model: str | None = None
    usage: Any = None
    x_groq: Any = None
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

    def is_error(self) -> bool:
        """Whether the answer ends here."""
        return bool(self.error) or self.object == ERROR or self.type == ERROR


_decode_event = msgspec.json.Decoder(_Event).decode


def joined(answer: Answer) -> Chat:
    """The completion that the events add up to.

    Raises `Unavailable` for a stream that broke off, the error that an error event stands for, and msgspec's errors
    for an event that is not the JSON of a completion.
    """
    chat = Chat()
    pieces: list[_Piece] = []
    ended = False

    for name, data in events(answer.body, end=END):
        if data == END:
            ended = True
            break
        if name == ERROR.encode() or (event := _decode_event(data)).is_error():
            raise_embedded_error(answer, data, ERROR_WORDS)
        chat.model = event.model or chat.model
        chat.usage = chat.usage if (reported := event.reported_usage()) is None else reported
        pieces += [piece for piece in event.choices or () if not piece.index]

    reasons = [piece.finish_reason for piece in pieces if piece.finish_reason]  # some say "" until the end
    if not ended and not reasons:
        raise Unavailable("the stream broke off before its end", kind=ErrorKind.CONNECTION)
    if pieces:
        chat.choices = [Choice(_message(pieces), reasons[-1] if reasons else None)]
    return chat


def _message(pieces: list[_Piece]) -> Message:
    deltas = [piece.delta for piece in pieces if piece.delta is not None]
    texts = [text for delta in deltas if (text := text_of(delta.content)) is not None]
    refusals = [delta.refusal for delta in deltas if delta.refusal is not None]
    return Message("".join(texts) if texts else None, "".join(refusals) if refusals else None)
