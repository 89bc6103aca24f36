"""Streamed answers: server-sent events in HTTP/1.1 chunks, in a few pieces spread over the latency."""

from __future__ import annotations

from collections.abc import Iterable

from prefect_llm.simulation.answers import CONTENT_PIECES
from prefect_llm.simulation.faults import Fault

_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n%b\r\n"
)
_LAST_CHUNK = b"0\r\n\r\n"


def pieces(events: Iterable[bytes], fault: Fault | None, headers: bytes) -> list[bytes]:
    """The pieces to write at even distances, one event each; the first carries the head.

    A cut stream breaks off in the middle of its text.
    """
    sent = list(events)
    if fault is Fault.CUT:
        sent = sent[: 1 + CONTENT_PIECES // 2]
    texts = [_chunk(event) for event in sent]
    if fault is not Fault.CUT:
        texts[-1] += _LAST_CHUNK
    texts[0] = _HEAD % headers + texts[0]
    return texts


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
