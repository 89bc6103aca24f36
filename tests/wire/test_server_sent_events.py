"""The framing of a stream, whatever its events tell."""

from __future__ import annotations

import pytest

from prefect_llm.wire.http import Answer
from prefect_llm.wire.server_sent_events import events, is_stream


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"data: 1\n\ndata: 2\n\n", [(b"", b"1"), (b"", b"2")]),
        (b"event: delta\ndata: {}\n\n", [(b"delta", b"{}")]),
        (b"event:delta\r\ndata:{}\r\n\r\n", [(b"delta", b"{}")]),
        (b"data: a\ndata: b\n\n", [(b"", b"a\nb")]),
        (b": ping\n\nid: 7\n\n", []),
        (b"data: {}", [(b"", b"{}")]),
        (b'data: {"cut', []),
        (b"data: STOP", [(b"", b"STOP")]),
        (b"data: STO", []),
        (b"", []),
    ],
    ids=[
        "two",
        "named",
        "CRLF, no blanks",
        "several lines",
        "no data",
        "no end",
        "cut",
        "its end",
        "cut end",
        "empty",
    ],
)
def test_a_stream_is_read_event_by_event(body: bytes, found: list[tuple[bytes, bytes]]) -> None:
    assert list(events(body, end=b"STOP")) == found


def test_without_a_word_of_its_own_a_stream_ends_with_json() -> None:
    assert list(events(b"data: {}\n\ndata: STOP")) == [(b"", b"{}")]


@pytest.mark.parametrize(
    ("content_type", "body", "streamed"),
    [
        ("Text/Event-Stream; charset=utf-8", b"", True),
        ("text/event-stream", b"data: {}\n\n", True),
        ("text/plain", b"data: {}\n\n", True),
        ("application/json", b": ping\n\ndata: {}\n\n", True),
        (None, b"\xef\xbb\xbf\nevent: delta\ndata: {}\n\n", True),
        ("text/event-stream", b'\xef\xbb\xbf {"choices": []}', False),
        ("text/event-stream", b'[{"error": {}}]', False),
        ("application/json", b"", False),
        ("text/html", b"<html>data: no</html>", False),
        (None, b"", False),
    ],
    ids=[
        "empty, by its type", "both", "as plain text", "as JSON", "without a type", "JSON as a stream",
        "a list as a stream", "empty JSON", "a page", "nothing",
    ],
)  # fmt: skip
def test_a_stream_is_known_by_how_it_begins_else_by_its_content_type(
    content_type: str | None, body: bytes, streamed: bool
) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    assert is_stream(Answer(200, headers, body)) == streamed


def test_a_byte_order_mark_before_a_stream_is_no_part_of_it() -> None:
    assert list(events(b"\xef\xbb\xbfdata: {}\n\n")) == [(b"", b"{}")]
