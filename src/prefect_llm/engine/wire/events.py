"""A streamed answer: server-sent events whose deltas add up to one chat completion.

https://platform.openai.com/docs/api-reference/chat-streaming and, for the framing,
https://html.spec.whatwg.org/multipage/server-sent-events.html. The whole stream is at hand: it was read to its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import msgspec

from prefect_llm.engine.transport import Answer, Headers
from prefect_llm.engine.wire.refusals import INSUFFICIENT_QUOTA, KINDS_BY_CODE, MODEL_NOT_FOUND, raise_refusal
from prefect_llm.engine.wire.shapes import Chat, Choice, Message
from prefect_llm.errors import ErrorKind, Unavailable

CONTENT_TYPE = "text/event-stream"
END = b"[DONE]"
RATE_LIMITED = frozenset({"rate_limit_exceeded", "rate_limit_error", "rate_limit", INSUFFICIENT_QUOTA})
INVALID = frozenset({"invalid_request_error", *KINDS_BY_CODE})


class _Delta(msgspec.Struct, gc=False):
    content: Any = None
    refusal: str | None = None


class _Piece(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    finish_reason: str | None = None
    index: int = 0


class _Event(msgspec.Struct, gc=False):
    choices: list[_Piece] | None = None
    model: str | None = None
    usage: Any = None
    error: Any = None


_decode_event = msgspec.json.Decoder(_Event).decode


def is_stream(headers: Headers) -> bool:
    """Whether the endpoint streamed its answer; some send it whole although they were asked to."""
    return (headers.get("content-type") or "").startswith(CONTENT_TYPE)


def joined(answer: Answer) -> Chat:
    """The completion that the events add up to.

    Raises `Unavailable` for a stream that broke off, what an error among the events stands for, and msgspec's
    errors for an event that is no JSON of a completion.
    """
    chat = Chat()
    pieces: list[_Piece] = []
    ended = False
    for data in _data(answer.body):
        if data == END:
            ended = True
            break
        event = _decode_event(data)
        if event.error is not None:
            _raise_error(answer, data, event.error)
        chat.model = event.model or chat.model
        chat.usage = event.usage if event.usage is not None else chat.usage
        pieces += [piece for piece in event.choices or () if piece.index == 0]
    reasons = [piece.finish_reason for piece in pieces if piece.finish_reason is not None]
    if not ended and not reasons:
        raise Unavailable("the stream broke off before its end", kind=ErrorKind.CONNECTION)
    if pieces:
        chat.choices = [Choice(_message(pieces), reasons[-1] if reasons else None)]
    return chat


def _message(pieces: list[_Piece]) -> Message:
    deltas = [piece.delta for piece in pieces if piece.delta is not None]
    texts = [text for delta in deltas if (text := _text(delta.content)) is not None]
    refusals = [delta.refusal for delta in deltas if delta.refusal is not None]
    return Message("".join(texts) if texts else None, "".join(refusals) if refusals else None)


def _text(content: Any) -> str | None:
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None


def _data(body: bytes) -> Iterator[bytes]:
    """What each event says; comments and other fields are passed over."""
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for event in body.split(b"\n\n"):
        if event.startswith(b"data: ") and b"\n" not in event:
            yield event[6:]
            continue
        lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
        if lines:
            yield b"\n".join(lines)


def _raise_error(answer: Answer, data: bytes, error: Any) -> NoReturn:
    """As the same body would have been understood with a status of its own."""
    raise_refusal(Answer(_status_of(error), answer.headers, data))


def _status_of(error: Any) -> int:
    told = error if isinstance(error, Mapping) else {}
    for name in ("status", "code"):
        if isinstance(status := told.get(name), int) and 400 <= status < 600:
            return status
    words = {word for name in ("code", "type") if isinstance(word := told.get(name), str)}
    if words & RATE_LIMITED:
        return 429
    if words & MODEL_NOT_FOUND:
        return 404
    return 400 if words & INVALID else 500
