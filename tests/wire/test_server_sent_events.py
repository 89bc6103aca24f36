"""The framing of a stream, whatever its events tell."""

from __future__ import annotations

import pytest

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


def test_a_stream_is_known_by_its_content_type() -> None:
    assert is_stream({"content-type": "Text/Event-Stream; charset=utf-8"})
    assert not is_stream({"content-type": "application/json"})
    assert not is_stream({})
