"""Server-sent events: the framing of streamed answers, whatever their content.

https://html.spec.whatwg.org/multipage/server-sent-events.html. Parses whole streams, read to their end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from prefect_llm.wire.http import Answer
from prefect_llm.wire.json_text import BYTE_ORDER_MARK, is_json

CONTENT_TYPE = "text/event-stream"

_FIRST_LINE = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:")
_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*[{\[]")


def is_stream(answer: Answer) -> bool:
    """Whether the endpoint streamed its answer, by how it begins, else by its content type.

    Some send it whole although a stream was asked for, some stream it as `text/plain`, some call either the other.
    """
    if answer.body[:1] == b"{" or _JSON.match(answer.body):
        return False
    if _FIRST_LINE.match(answer.body):
        return True
    return (answer.headers.get("content-type") or "").lower().startswith(CONTENT_TYPE)


def events(body: bytes, *, end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
    """The name and the data of each event; comments and other fields are skipped.

    The last event may lack its blank line. It is left out if it was cut: its data is then neither JSON nor `end`, the
    word with which a format ends its streams.
    """
    body = body.removeprefix(BYTE_ORDER_MARK)
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *whole, rest = body.split(b"\n\n")

    for block in whole:
        if block.startswith(b"data: ") and b"\n" not in block:
            yield b"", block[6:]
        elif (event := _event(block)) is not None:
            yield event

    last = _event(rest)
    if last is not None and (last[1] == end or is_json(last[1])):
        yield last


def _event(block: bytes) -> tuple[bytes, bytes] | None:
    fields = [line.partition(b":") for line in block.split(b"\n")]
    data = [value.removeprefix(b" ") for name, _, value in fields if name == b"data"]
    names = [value.removeprefix(b" ") for name, _, value in fields if name == b"event"]
    return (names[-1] if names else b"", b"\n".join(data)) if data else None
