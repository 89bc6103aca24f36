"""A streamed answer: server-sent events whose deltas add up to one chat completion.

https://platform.openai.com/docs/api-reference/chat-streaming and, for the framing,
https://html.spec.whatwg.org/multipage/server-sent-events.html. The whole stream is at hand: it was read to its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

import msgspec
import orjson

from prefect_llm.values.errors import Unavailable
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.wire.error_bodies import (
    INSUFFICIENT_QUOTA,
    KINDS_BY_CODE,
    MODEL_NOT_FOUND,
    raise_refusal,
    read_complaint,
)
from prefect_llm.wire.http import Answer, Headers
from prefect_llm.wire.openai_shapes import Chat, Choice, Message, text_of
from prefect_llm.wire.usage import usage_in

CONTENT_TYPE = "text/event-stream"
END = b"[DONE]"
ERROR = "error"
"""How an event says that it is none: by its name, its `object` (vLLM) or its `type` (Anthropic)."""
RATE_LIMITED = frozenset({"rate_limit_exceeded", "rate_limit_error", "rate_limit", INSUFFICIENT_QUOTA})
INVALID = frozenset({"invalid_request_error", *KINDS_BY_CODE})

_ERROR_STATUS = re.compile("[45][0-9]{2}")


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

    def told_usage(self) -> Any:
        """The counts, where the endpoint puts them: Groq beside the choices, Moonshot inside the last one."""
        if self.usage is not None:
            return self.usage
        if self.x_groq is not None:
            return usage_in(self.x_groq)
        return next((piece.usage for piece in self.choices or () if piece.usage is not None), None)

    def tells_an_error(self) -> bool:
        """Whether the answer ends here."""
        return bool(self.error) or self.object == ERROR or self.type == ERROR


_decode_event = msgspec.json.Decoder(_Event).decode


def is_stream(headers: Headers) -> bool:
    """Whether the endpoint streamed its answer; some send it whole although they were asked to."""
    return (headers.get("content-type") or "").lower().startswith(CONTENT_TYPE)


def joined(answer: Answer) -> Chat:
    """The completion that the events add up to.

    Raises `Unavailable` for a stream that broke off, what an error among the events stands for, and msgspec's
    errors for an event that is no JSON of a completion.
    """
    chat = Chat()
    pieces: list[_Piece] = []
    ended = False
    for name, data in _events(answer.body):
        if data == END:
            ended = True
            break
        if name == ERROR.encode() or (event := _decode_event(data)).tells_an_error():
            _raise_error(answer, data)
        chat.model = event.model or chat.model
        chat.usage = chat.usage if (told := event.told_usage()) is None else told
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


def _events(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The name and the data of each event; comments and other fields are passed over.

    The last one may lack its blank line; where it is cut itself, it is none.
    """
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *whole, rest = body.split(b"\n\n")
    for block in whole:
        if block.startswith(b"data: ") and b"\n" not in block:
            yield b"", block[6:]
        elif (event := _event(block)) is not None:
            yield event
    last = _event(rest)
    if last is not None and (last[1] == END or _is_json(last[1])):
        yield last


def _event(block: bytes) -> tuple[bytes, bytes] | None:
    fields = [line.partition(b":") for line in block.split(b"\n")]
    data = [value.removeprefix(b" ") for name, _, value in fields if name == b"data"]
    names = [value.removeprefix(b" ") for name, _, value in fields if name == b"event"]
    return (names[-1] if names else b"", b"\n".join(data)) if data else None


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


def _raise_error(answer: Answer, data: bytes) -> NoReturn:
    """As the same body would have been understood with a status of its own."""
    raise_refusal(Answer(_status_of(data), answer.headers, data))


def _status_of(data: bytes) -> int:
    """The status that an error names, else the one its words stand for."""
    if (named := _named_status(data)) is not None:
        return named
    words = read_complaint(data).codes
    if words & RATE_LIMITED:
        return 429
    if words & MODEL_NOT_FOUND:
        return 404
    return 400 if words & INVALID else 500


def _named_status(data: bytes) -> int | None:
    told = orjson.loads(data) if _is_json(data) else None
    inner = told.get("error") if isinstance(told, dict) else None
    places = [place for place in (inner, told) if isinstance(place, dict)]
    texts = (str(place.get(name)) for place in places for name in ("status", "status_code", "code"))
    return next((int(text) for text in texts if _ERROR_STATUS.fullmatch(text)), None)
