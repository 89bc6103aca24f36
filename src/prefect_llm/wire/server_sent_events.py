"""Server-sent events: the framing of streamed answers, whatever their content.

https://html.spec.whatwg.org/multipage/server-sent-events.html. Parses whole streams, read to their end.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from prefect_llm.wire.http import Headers

CONTENT_TYPE = "text/event-stream"


def is_stream(headers: Headers) -> bool:
    """Whether the endpoint streamed its answer; some send it whole although a stream was asked for."""
    return (headers.get("content-type") or "").lower().startswith(CONTENT_TYPE)


def events(body: bytes, *, end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
    """The name and the data of each event; comments and other fields are skipped.

    The last event may lack its blank line. It is left out if it was cut: its data is then neither JSON nor `end`, the
    word with which a format ends its streams.
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
    if last is not None and (last[1] == end or _is_json(last[1])):
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
