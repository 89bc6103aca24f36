"""How an attempt can fail on the wire, and what is refused before one is made; over both transports."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import httpx
import pytest
from tests.engine.submitting import ask, provider_at, requests, run_on
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.engine import Engine, verify
from prefect_llm.engine.transport import open_transport
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import InvalidInput, ProviderDown, Unavailable
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.provider import Provider, Timeouts
from prefect_llm.wire.openai_chat import OpenAIChat

TRANSPORTS = pytest.mark.parametrize("transport", ["pyreqwest", "httpx"])
KEY = "sk-0123456789abcdef"


def failed_attempt(provider: Provider, at_most_s: float | None = None) -> Unavailable:
    """How one attempt fails."""

    async def post() -> None:
        transport, chat = open_transport(provider), OpenAIChat()
        try:
            (request,) = requests(1)
            await transport.post(chat.url(provider, request), chat.encoder(provider)(request), at_most_s)
        finally:
            await transport.close()

    with pytest.raises(Unavailable) as failed:
        asyncio.run(post())
    return failed.value


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that lets no connection come about: its queue is full and nobody accepts."""
    with ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@TRANSPORTS
def test_a_host_that_takes_no_connection_is_one_that_cannot_be_reached(deaf_port: int, transport: str) -> None:
    waits: dict[str, Any] = {"attempt_s": 20, "connect_s": 0.2, "first_connection_s": 0.3}
    provider = provider_at(f"http://127.0.0.1:{deaf_port}/v1", transport=transport, **waits)
    with pytest.raises(ProviderDown, match="cannot be reached"):
        ask(provider, requests(20))


@TRANSPORTS
@pytest.mark.parametrize("changes", [{"attempt_s": 0.3}, {"idle_s": 0.3}], ids=["timeout", "idle timeout"])
def test_no_connection_is_told_before_the_attempts_time_is_over(
    deaf_port: int, transport: str, changes: dict[str, Any]
) -> None:
    provider = provider_at(f"http://127.0.0.1:{deaf_port}/v1", transport=transport, connect_s=10, **changes)
    found = failed_attempt(provider)
    assert (found.kind, found.unreachable) == (ErrorKind.CONNECTION, True)


@TRANSPORTS
@pytest.mark.parametrize(
    ("changes", "at_most_s", "said"),
    [
        ({"attempt_s": 0.1}, None, "no complete answer within 0.1 s"),
        ({"attempt_s": 0.1}, 60, "no complete answer within 0.1 s"),
        ({"attempt_s": 60}, 0.1, "no complete answer within 0.1 s"),
        ({"attempt_s": 60, "idle_s": 60}, 0.1, "no complete answer within 0.1 s"),
        ({"attempt_s": 60, "idle_s": 0.1}, 60, "nothing came for 0.1 s"),
    ],
    ids=["timeout", "a looser bound", "a tighter bound", "a tighter bound on a stream", "silence in a looser bound"],
)
def test_a_timeout_names_the_bound_that_passed(
    scripted_server: ScriptedServer, transport: str, changes: dict[str, Any], at_most_s: float | None, said: str
) -> None:
    scripted_server.script_all(steps.hang())
    provider = provider_at(scripted_server.base_url, transport=transport, **changes)
    found = failed_attempt(provider, at_most_s)
    assert (found.kind, found.message, found.unreachable) == (ErrorKind.TIMEOUT, said, False)


class SilentTransport(httpx.AsyncBaseTransport):
    """A user's own, whose every request has just timed out."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("", request=request)


def test_a_long_timeout_is_told_in_full() -> None:
    provider = Provider(
        "http://host/v1",
        timeouts=Timeouts(attempt_s=1200),
        http_client=lambda: httpx.AsyncClient(transport=SilentTransport()),
    )
    assert failed_attempt(provider).message == "no complete answer within 1200 s"


@TRANSPORTS
@pytest.mark.parametrize(
    "step",
    [
        steps.close_before_answer(),
        steps.close_mid_body(),
        steps.reset(),
        steps.status(200, "no gzip", headers={"content-encoding": "gzip"}),
        steps.status(200, "x", headers={"content-length": "long"}),
    ],
    ids=["closed", "cut", "reset", "bad gzip", "bad length"],
)
def test_a_lost_connection_says_how_it_was_lost(
    scripted_server: ScriptedServer, step: steps.Step, transport: str
) -> None:
    scripted_server.script({"doc-1": step})
    failure = ask(provider_at(scripted_server.base_url, transport=transport), requests(4))["doc-1"].failure
    assert failure is not None
    assert (failure.kind.value, failure.status) == ("connection", None)
    assert len(failure.message) > len("connection lost: ")


@TRANSPORTS
@pytest.mark.parametrize(
    "changes",
    [
        {"api_key": f"{KEY}\n"},
        {"api_key": f"{KEY}\u2026"},
        {"headers": {"X-Tenant": f"{KEY}\r\nX-Admin: yes"}},
    ],
    ids=["a line break", "not ASCII", "a second header"],
)
def test_what_no_header_can_carry_is_refused_without_repeating_it(
    scripted_server: ScriptedServer, changes: dict[str, Any], transport: str
) -> None:
    provider = provider_at(scripted_server.base_url, transport=transport, **changes)
    for attempt in (lambda: Engine(provider), lambda: verify(provider, "m")):
        with pytest.raises(InvalidInput, match="header") as refused:
            attempt()
        assert KEY not in str(refused.value)
        assert refused.value.__cause__ is None
    assert scripted_server.stats().requests == 0


@pytest.mark.parametrize(
    "base_url",
    [
        "api.openai.com/v1",
        "ftp://host/v1",
        "http:///v1",
        "http://host:port/v1",
        "http://host:99999/v1",
        "http://[::1/v1",
        "http://two words/v1",
        "http://host/v1\n",
        "http://user:pa55word@host/v1",
    ],
)
def test_an_address_that_cannot_be_asked_is_refused_before_anything_is(base_url: str) -> None:
    for attempt in (lambda: Engine(Provider(base_url)), lambda: verify(Provider(base_url), "m")):
        with pytest.raises(InvalidInput, match="base_url") as refused:
            attempt()
        assert "pa55word" not in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_client_that_cannot_be_made_ends_the_run_with_its_own_error(scripted_server: ScriptedServer) -> None:
    def broken() -> object:
        raise LookupError("no certificate")

    engine = Engine(replace(provider_at(scripted_server.base_url), http_client=broken))  # type: ignore[arg-type]
    with pytest.raises(LookupError, match="no certificate"):
        run_on(engine, requests(20), lambda *_: None, StopFlag())
    engine.close()
