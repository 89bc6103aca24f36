"""Streamed answers: server-sent events in chunks of HTTP/1.1, a few pieces spread over the latency.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import orjson

from prefect_llm.simulation import answers
from prefect_llm.simulation.answers import Ending
from prefect_llm.simulation.asked import Asked
from prefect_llm.simulation.faults import Fault

CONTENT_PIECES = 4
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n%b\r\n"
)
_LAST_CHUNK = b"0\r\n\r\n"


def pieces(number: int, asked: Asked, ending: Ending, fault: Fault | None, headers: bytes) -> list[bytes]:
    """What is written at even distances: role and text, then the rest of the text, then the end.

    A cut stream ends in the middle of its text and has no end of its own.
    """
    events = list(_events(number, asked, ending, fault))
    if fault is Fault.CUT:
        events = events[: 1 + CONTENT_PIECES // 2]
    texts = [_chunk(event) for event in events]
    if fault is not Fault.CUT:
        texts[-1] += _LAST_CHUNK
    texts[0] = _HEAD % headers + texts[0]
    return texts


def _events(number: int, asked: Asked, ending: Ending, fault: Fault | None) -> Iterator[bytes]:
    frame = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": asked.model,
    }
    first, *others = _deltas(ending, fault)
    yield _event(frame, _choices({"role": "assistant", **first}, None, fault))
    for delta in others:
        yield _event(frame, _choices(delta, None, fault))
    if fault is Fault.NOT_JSON:
        yield b"data: <html>this is not JSON\n\n"
    last = _event(frame, _choices({}, ending.finish_reason.decode(), fault))
    if asked.include_usage:
        usage = orjson.Fragment(answers.usage(asked.input_tokens, ending.output_tokens))
        last += _event(frame | {"usage": usage}, [])
    yield last + b"data: [DONE]\n\n"


def _deltas(ending: Ending, fault: Fault | None) -> list[dict[str, Any]]:
    if fault is Fault.NULL_CONTENT:
        return [{"content": None}]
    text: str = orjson.loads(ending.content)
    length = max(1, -(-len(text) // CONTENT_PIECES))
    return [{"content": text[start : start + length]} for start in range(0, max(1, len(text)), length)]


def _choices(delta: dict[str, Any], finish_reason: str | None, fault: Fault | None) -> list[dict[str, Any]]:
    return [] if fault is Fault.NO_CHOICES else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]


def _event(frame: dict[str, Any], choices: list[dict[str, Any]]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(frame | {"choices": choices})


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
