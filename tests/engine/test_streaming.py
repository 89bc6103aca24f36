"""Streamed answers: how long a silence may last, over both transports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from tests.engine.asking import ask, provider_at, requests
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.scripted_server.steps import Step
from tests.wire.streamed import STREAM, WHOLE

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
