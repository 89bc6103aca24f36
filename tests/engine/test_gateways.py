"""What nginx and haproxy make of an endpoint behind them, over TLS with a company's own authority."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.engine.submitting import ask, provider_at, requests
from tests.gateways.certificates import Certificates, make_certificates
from tests.gateways.servers import haproxy, nginx
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer, free_port

from prefect_llm.engine import verify
from prefect_llm.values.errors import EndpointNotFound, ProviderDown
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request

Gateway = Callable[[Path, Certificates, int], AbstractContextManager[int]]
GATEWAYS = pytest.mark.parametrize("gateway", [nginx, haproxy], ids=["nginx", "haproxy"])


@pytest.fixture
def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certificates:
    """Trusted by this process."""
    made = make_certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
    return made


def provider_behind(port: int, **changes: Any) -> Provider:
    """A provider at that gateway, with enough time for the gateway's own timeouts."""
    return provider_at(f"https://localhost:{port}/v1", attempt_s=10, **changes)


@GATEWAYS
def test_an_endpoint_behind_it_is_asked_streamed_or_not(
    scripted_server: ScriptedServer, certificates: Certificates, tmp_path: Path, gateway: Gateway
) -> None:
    with gateway(tmp_path, certificates, scripted_server.port) as port:
        assert verify(provider_behind(port), "m").model == "m"
        for provider in (provider_behind(port), provider_behind(port, idle_s=5)):
            assert all(outcome.ok for outcome in ask(provider, requests(20)).values())


@GATEWAYS
def test_without_its_authority_it_is_told_at_once(
    scripted_server: ScriptedServer,
    certificates: Certificates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gateway: Gateway,
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with gateway(tmp_path, certificates, scripted_server.port) as port:
        began = time.monotonic()
        with pytest.raises(ProviderDown, match=r"not trusted .*: set SSL_CERT_FILE"):
            ask(provider_behind(port, first_connection_s=30), requests(5))
    assert time.monotonic() - began < 5


@GATEWAYS
def test_an_endpoint_that_is_gone_is_an_outage_with_the_pages_title_once(
    certificates: Certificates, tmp_path: Path, gateway: Gateway
) -> None:
    with gateway(tmp_path, certificates, free_port()) as port:
        with pytest.raises(ProviderDown) as stopped:
            ask(provider_behind(port, outage_s=0.3), requests(20))
        with pytest.raises(ProviderDown) as verified:
            verify(provider_behind(port), "m")
    for said in (str(stopped.value), str(verified.value)):
        assert "HTTP 50" in said
        assert "<" not in said
        assert said.count("Bad Gateway") + said.count("Service Unavailable") == 1


@GATEWAYS
def test_an_answer_that_it_does_not_wait_for_may_have_been_billed(
    scripted_server: ScriptedServer, certificates: Certificates, tmp_path: Path, gateway: Gateway
) -> None:
    scripted_server.script({"doc-1": [steps.hang(), steps.ok()]})
    with gateway(tmp_path, certificates, scripted_server.port) as port:
        outcome = ask(provider_behind(port), requests(3))["doc-1"]
    assert outcome.ok
    assert (outcome.attempts, outcome.lost) == (2, 1)


def test_a_body_that_nginx_does_not_take_fails_its_document_alone(
    scripted_server: ScriptedServer, certificates: Certificates, tmp_path: Path
) -> None:
    def mixed() -> Iterator[Request]:
        for request in requests(5):
            long = request.document_id == "doc-3"
            yield replace(request, messages=[{"role": "user", "content": "x" * 4000}]) if long else request

    with nginx(tmp_path, certificates, scripted_server.port) as port:
        outcomes = ask(provider_behind(port), mixed())
    failure = outcomes["doc-3"].failure
    assert failure is not None
    assert (failure.status, failure.kind.value) == (413, "rejected")
    assert sum(outcome.ok for outcome in outcomes.values()) == 4


def test_a_redirect_is_told_with_its_place(
    scripted_server: ScriptedServer, certificates: Certificates, tmp_path: Path
) -> None:
    with (
        nginx(tmp_path, certificates, scripted_server.port) as port,
        pytest.raises(EndpointNotFound, match=r"redirects to: https://elsewhere\.example/v1/"),
    ):
        ask(provider_at(f"https://localhost:{port}/moved"), requests(5))


def test_plain_http_at_a_tls_port_is_told_in_nginxs_words(
    scripted_server: ScriptedServer, certificates: Certificates, tmp_path: Path
) -> None:
    with nginx(tmp_path, certificates, scripted_server.port) as port, pytest.raises(Exception, match="HTTPS port"):
        verify(provider_at(f"http://localhost:{port}/v1"), "m")
