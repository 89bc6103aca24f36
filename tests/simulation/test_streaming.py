"""Streamed answers as a client of server-sent events reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.simulation.simulating import admit, body, simulation

from prefect_llm.simulation.answers import Then
from prefect_llm.simulation.provider import Service, SimulatedProvider


def streamed(*, fault: str | None = None, **members: Any) -> tuple[list[bytes], Then]:
    """The pieces written and what then."""
    options = {"fault": [f"{fault}=1"]} if fault else {}
    provider = SimulatedProvider(simulation(output_tokens="25", **options))
    service = admit(provider, body(stream=True, **members))
    assert isinstance(service, Service)
    pieces = provider.stream(service, 0.0)
    assert provider.stats.in_flight.now == 1
    return pieces, provider.end_stream(service, 0.0)


def dechunked(sent: bytes) -> tuple[bytes, bool]:
    """The body, and whether its last chunk came."""
    head, _, rest = sent.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert b"text/event-stream" in head
    content = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        content += rest[:length]
        assert rest[length : length + 2] == b"\r\n"
        if length == 0:
            return content, rest == b"\r\n"
        rest = rest[length + 2 :]
    return content, False


def events(sent: bytes) -> list[Any]:
    content, ended = dechunked(sent)
    texts = [line.removeprefix("data: ") for line in content.decode().split("\n\n") if line]
    assert ended
    assert texts.pop() == "[DONE]"
    return [json.loads(text) for text in texts]


def test_the_deltas_make_the_text_and_the_last_says_why_it_ended() -> None:
    pieces, then = streamed()
    chunks = events(b"".join(pieces))
    choices = [chunk["choices"][0] for chunk in chunks]
    assert len(pieces) == len(chunks) == 5
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert choices[0]["delta"]["role"] == "assistant"
    assert len("".join(choice["delta"].get("content", "") for choice in choices)) == 100
    assert [choice["finish_reason"] for choice in choices] == [None] * 4 + ["stop"]
    assert then is Then.KEEP


def test_usage_comes_last_where_it_is_asked_for() -> None:
    *chunks, last = events(b"".join(streamed(stream_options={"include_usage": True}, max_tokens=10)[0]))
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 10)


def test_a_cut_stream_ends_amid_its_text() -> None:
    pieces, then = streamed(fault="cut")
    content, ended = dechunked(b"".join(pieces))
    assert b'"content"' in content
    assert b'"finish_reason":"stop"' not in content
    assert (ended, then) == (False, Then.CLOSE)


def test_unusable_streams_are_unusable_each_in_its_way() -> None:
    assert all(chunk["choices"] == [] for chunk in events(b"".join(streamed(fault="no_choices")[0])))
    deltas = [chunk["choices"][0]["delta"] for chunk in events(b"".join(streamed(fault="null_content")[0]))]
    assert not any(delta.get("content") for delta in deltas)
    with pytest.raises(json.JSONDecodeError):
        events(b"".join(streamed(fault="not_json")[0]))
