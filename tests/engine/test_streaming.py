"""Streamed answers: how long a silence may last, over both transports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from tests.engine.submitting import ask, provider_at, requests
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.scripted_server.steps import Step
from tests.wire.streamed import DONE, STREAM, USAGE, USED, WHOLE, event

from prefect_llm.values.outcome import ErrorKind, Outcome


def streamed(text: str, **more: Any) -> Step:
    """That text as a stream."""
    return replace(steps.status(200, text, headers=STREAM), **more)


def outcomes(server: ScriptedServer, transport: str, *, idle_s: float = 0.3, **changes: Any) -> Iterable[Outcome]:
    """Those of two documents."""
    provider = provider_at(server.base_url, transport=transport, idle_s=idle_s, max_attempts=2, **changes)
    return ask(provider, requests(2)).values()


@pytest.mark.parametrize("transport", ["pyreqwest", "httpx"])
def test_an_answer_that_keeps_coming_may_take_longer_than_the_timeout(
    scripted_server: ScriptedServer, transport: str
) -> None:
    piece_bytes = len(WHOLE) // 10
    scripted_server.script_all(streamed(WHOLE, delivery="slow", piece_bytes=piece_bytes, pause_s=0.1))
    for outcome in outcomes(scripted_server, transport, attempt_s=0.4):
        assert outcome.completion is not None
        assert (outcome.completion.content, outcome.attempts) == ("Hello", 1)
        assert outcome.latency_ms is not None
        assert outcome.latency_ms > 800
    body = scripted_server.log()[0].body
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


@pytest.mark.parametrize("transport", ["pyreqwest", "httpx"])
@pytest.mark.parametrize("content_type", ["text/event-stream", "text/plain", "application/json"])
def test_a_character_split_over_two_events_is_whole_whatever_the_stream_is_called(
    scripted_server: ScriptedServer, transport: str, content_type: str
) -> None:
    halves = event("Nice \ud83d") + event("\ude00 day", finish="stop") + USED + DONE
    scripted_server.script_all(streamed(halves, headers={"content-type": content_type}, delivery="chunked"))
    for outcome in outcomes(scripted_server, transport):
        assert outcome.completion is not None
        assert (outcome.completion.content, outcome.attempts) == ("Nice 😀 day", 1)


@pytest.mark.parametrize("transport", ["pyreqwest", "httpx"])
@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (event(finish="error", usage=USAGE) + DONE, ErrorKind.SERVER_ERROR),
        (event(finish="SAFETY", usage=USAGE) + DONE, ErrorKind.CONTENT_FILTERED),
        ('data: {"error": {"code": 502, "message": "gone"}}\n\n', ErrorKind.SERVER_ERROR),
        ('data: {"error": {"code": 422, "message": "no"}}\n\n', ErrorKind.REJECTED),
        ('data: {"choices": [{"delta": {}, "error": {"code": 504}}]}\n\n', ErrorKind.SERVER_ERROR),
    ],
    ids=["given up", "filtered", "a server's fault", "a refusal", "in the choice"],
)
def test_a_streamed_half_ends_as_what_stopped_it(
    scripted_server: ScriptedServer, transport: str, last: str, kind: ErrorKind
) -> None:
    scripted_server.script({"doc-0": streamed(WHOLE), "doc-1": streamed(event("The first half") + last)})
    first, second = outcomes(scripted_server, transport, concurrency=1)
    assert first.ok
    assert second.failure is not None
    assert (second.failure.kind, second.attempts) == (kind, 2 if kind is ErrorKind.SERVER_ERROR else 1)
    assert second.completion is not None
    assert second.completion.content == "The first half"


@pytest.mark.parametrize("transport", ["pyreqwest", "httpx"])
@pytest.mark.parametrize(
    "silent", [steps.hang(), streamed(WHOLE, delivery="slow", piece_bytes=40, pause_s=60)], ids=["at once", "later"]
)
@pytest.mark.parametrize("deadline_s", [None, 60.0])
def test_a_silence_ends_an_attempt(
    scripted_server: ScriptedServer, transport: str, silent: Step, deadline_s: float | None
) -> None:
    scripted_server.script_all(silent)
    for outcome in outcomes(scripted_server, transport, idle_s=0.1, attempt_s=60, deadline_s=deadline_s):
        assert outcome.failure is not None
        assert (outcome.failure.kind, outcome.failure.message) == (ErrorKind.TIMEOUT, "nothing came for 0.1 s")


@pytest.mark.parametrize("transport", ["pyreqwest", "httpx"])
@pytest.mark.parametrize(
    "broken", [streamed(WHOLE, delivery="cut"), streamed(WHOLE[: len(WHOLE) // 3])], ids=["cut", "ended early"]
)
def test_a_cut_stream_is_asked_again(scripted_server: ScriptedServer, transport: str, broken: Step) -> None:
    scripted_server.script_all(broken, streamed(WHOLE))
    for outcome in outcomes(scripted_server, transport):
        assert outcome.completion is not None
        assert (outcome.completion.content, outcome.attempts) == ("Hello", 2)


def test_a_wait_for_one_of_the_clients_own_connections_is_no_silence(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(streamed(WHOLE, delivery="slow", piece_bytes=len(WHOLE) // 10, pause_s=0.1))
    one_connection = httpx.Limits(max_connections=1)
    provider = provider_at(
        scripted_server.base_url,
        idle_s=0.3,
        max_attempts=2,
        http_client=lambda: httpx.AsyncClient(limits=one_connection),
    )
    assert [outcome.attempts for outcome in ask(provider, requests(3)).values()] == [1, 1, 1]


def test_an_endpoint_that_does_not_stream_is_understood_all_the_same(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.ok("whole"))
    assert [outcome.ok for outcome in outcomes(scripted_server, "pyreqwest")] == [True, True]


@pytest.mark.parametrize("transport", ["pyreqwest", "httpx"])
def test_the_deadline_holds_for_a_stream_that_goes_on(scripted_server: ScriptedServer, transport: str) -> None:
    scripted_server.script_all(streamed(WHOLE, delivery="slow", piece_bytes=1, pause_s=0.05))
    for outcome in outcomes(scripted_server, transport, deadline_s=0.4):
        assert outcome.failure is not None
        assert outcome.failure.kind is ErrorKind.TIMEOUT
        assert "within the document's deadline of 0.4 s" in outcome.failure.message
