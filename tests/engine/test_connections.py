"""Certificates and proxies: what a run says of them is what `verify` says, and it says it at once."""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.engine.submitting import ask, provider_at, requests
from tests.gateways.certificates import Certificates, make_certificates
from tests.gateways.relays import Relay, http_proxy, socks_proxy, tls_front
from tests.scripted_server.client import ScriptedServer, free_port

from prefect_llm.engine import Engine, verify
from prefect_llm.values.errors import AuthenticationFailed, InvalidInput, ProviderDown, RunError
from prefect_llm.values.provider import Provider

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
LASTING_WITHIN_S = 5.0
"""Well below the 30 s for which a provider that cannot be reached is tried."""


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxies and no authorities of this machine's shell."""
    for name in (*VARIABLES, *map(str.upper, VARIABLES), "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def secure(scripted_server: ScriptedServer, certificates: Certificates) -> Iterator[Relay]:
    """The scripted server behind TLS, with a certificate of a company's own authority."""
    with tls_front(scripted_server.port, certificates) as relay:
        yield relay


def answers(provider: Provider) -> None:
    """Both a run and `verify` are answered."""
    assert verify(provider, "m").model == "m"
    assert all(outcome.ok for outcome in ask(provider, requests(5)).values())


def complaint_of(provider: Provider) -> str:
    """What a run says, which is what `verify` says or contains it."""
    with pytest.raises(ProviderDown) as verified:
        verify(provider, "m")
    with pytest.raises(ProviderDown) as stopped:
        ask(provider, requests(5))
    assert str(verified.value) in str(stopped.value)
    return str(verified.value)


def patient(base_url: str) -> Provider:
    """A provider that a run would try for long."""
    return provider_at(base_url, first_connection_s=30, attempt_s=20)


def test_a_private_authority_is_told_at_once_with_the_variable_to_set(secure: Relay) -> None:
    began = time.monotonic()
    said = complaint_of(patient(f"https://127.0.0.1:{secure.port}/v1"))
    assert f"127.0.0.1:{secure.port} shows a certificate that is not trusted" in said
    assert "SSL_CERT_FILE" in said
    assert time.monotonic() - began < LASTING_WITHIN_S


def test_a_users_own_client_says_the_same_of_it(secure: Relay) -> None:
    provider = replace(patient(f"https://127.0.0.1:{secure.port}/v1"), http_client=httpx.AsyncClient)
    assert "is not trusted (unable to get local issuer certificate): set SSL_CERT_FILE" in complaint_of(provider)


def test_the_file_of_authorities_is_heeded(
    secure: Relay, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    answers(provider_at(f"https://127.0.0.1:{secure.port}/v1"))


def test_the_folder_of_authorities_is_heeded(
    secure: Relay, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(certificates.authority.parent))
    answers(provider_at(f"https://127.0.0.1:{secure.port}/v1"))


def test_a_users_own_client_has_authorities_of_its_own(secure: Relay, certificates: Certificates) -> None:
    context = ssl.create_default_context(cafile=str(certificates.authority))
    base_url = f"https://127.0.0.1:{secure.port}/v1"
    answers(replace(provider_at(base_url), http_client=lambda: httpx.AsyncClient(verify=context)))


def test_an_expired_certificate_is_told_at_once(
    scripted_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expired = make_certificates(tmp_path, expired=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(expired.authority))
    with tls_front(scripted_server.port, expired) as relay:
        began = time.monotonic()
        assert "certificate that is not valid (certificate expired" in complaint_of(
            patient(f"https://127.0.0.1:{relay.port}/v1")
        )
    assert time.monotonic() - began < LASTING_WITHIN_S


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "nothing can be read (No such file or directory)"),
        (lambda path: path.mkdir(), "no certificate can be read"),
        (lambda path: path.write_text("not PEM"), "no certificate can be read"),
    ],
    ids=["absent", "an empty folder", "not PEM"],
)
def test_authorities_that_cannot_be_read_are_refused_before_anything_is_asked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    scheme: str,
    make: Callable[[Path], object],
    said: str,
) -> None:
    make(tmp_path / "authorities")
    monkeypatch.setenv(variable, str(tmp_path / "authorities"))
    provider = provider_at(f"{scheme}://127.0.0.1:9/v1")
    for attempt in (lambda: Engine(provider), lambda: verify(provider, "m")):
        with pytest.raises(InvalidInput) as refused:
            attempt()
        assert f"environment {variable} names {tmp_path}/authorities, where {said}" in str(refused.value)


def test_an_absent_file_is_refused_beside_a_good_folder(
    certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(certificates.authority.parent))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
    with pytest.raises(InvalidInput, match=r"environment SSL_CERT_FILE names .*absent\.pem"):
        verify(provider_at("https://127.0.0.1:9/v1"), "m")


def test_an_absent_folder_beside_a_good_file_is_none_of_ours(
    secure: Relay, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "absent"))
    answers(provider_at(f"https://127.0.0.1:{secure.port}/v1"))


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_an_http_proxy_carries_plain_requests(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with http_proxy() as proxy:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        answers(provider_at(scripted_server.base_url))
    assert set(proxy.asked) == {f"127.0.0.1:{scripted_server.port}"}


def test_an_http_proxy_tunnels_to_tls(
    secure: Relay, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    with http_proxy(credentials=base64.b64encode(b"me:pa55word").decode()) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:pa55word@127.0.0.1:{proxy.port}")
        answers(provider_at(f"https://localhost:{secure.port}/v1"))
    assert set(proxy.asked) == {f"localhost:{secure.port}"}


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_carries_both(
    scripted_server: ScriptedServer,
    secure: Relay,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    with socks_proxy() as proxy:
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:{proxy.port}")
        answers(provider_at(scripted_server.base_url))
        answers(provider_at(f"https://127.0.0.1:{secure.port}/v1"))
    assert set(proxy.asked) == {f"127.0.0.1:{scripted_server.port}", f"127.0.0.1:{secure.port}"}


@pytest.mark.parametrize("no_proxy", ["*", "127.0.0.1", "127.0.0.1:{port}", "127.0.0.0/8"])
def test_an_exempt_endpoint_is_reached_without_the_proxy(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    with http_proxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", no_proxy.format(port=scripted_server.port))
        answers(provider_at(scripted_server.base_url))
    assert proxy.asked == []


def test_a_proxy_that_wants_a_password_is_named_at_once_without_what_it_was_given(
    scripted_server: ScriptedServer, secure: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    with http_proxy(credentials="other") as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://me:pa55word@127.0.0.1:{proxy.port}")
        for base_url, variable in (
            (scripted_server.base_url, "HTTP_PROXY"),
            (f"https://127.0.0.1:{secure.port}/v1", "HTTPS_PROXY"),
        ):
            said = complaint_of(patient(base_url))
            assert f"the proxy 127.0.0.1:{proxy.port} wants a user and a password" in said
            assert variable in said
            assert "pa55word" not in said
    assert time.monotonic() - began < LASTING_WITHIN_S


def test_a_proxy_that_refuses_the_tunnel_is_named(secure: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_proxy(refuses="403 Forbidden") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        said = complaint_of(provider_at(f"https://127.0.0.1:{secure.port}/v1"))
    assert f"the proxy 127.0.0.1:{proxy.port} does not connect to 127.0.0.1:{secure.port}" in said


@pytest.mark.parametrize(
    ("status", "error"), [("403 Forbidden", AuthenticationFailed), ("503 Service Unavailable", ProviderDown)]
)
def test_a_proxy_that_answers_a_plain_request_itself_is_named(
    monkeypatch: pytest.MonkeyPatch, status: str, error: type[RunError]
) -> None:
    with http_proxy(refuses=status) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:pa55word@127.0.0.1:{proxy.port}")
        provider = provider_at("http://intranet.example:8000/v1", outage_s=0.3)
        for attempt in (lambda: verify(provider, "m"), lambda: ask(provider, requests(20))):
            with pytest.raises(error) as stopped:
                attempt()
            assert f"HTTP {status[:3]} by way of the proxy 127.0.0.1:{proxy.port} of HTTP_PROXY" in str(stopped.value)
            assert "pa55word" not in str(stopped.value)


def test_a_socks_proxy_that_refuses_is_named(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socks_proxy(refuses=True) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{proxy.port}")
        said = complaint_of(provider_at(scripted_server.base_url))
    assert f"the proxy 127.0.0.1:{proxy.port} does not connect to 127.0.0.1:{scripted_server.port}" in said
    assert "connection not allowed" in said


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:9/v1", "https://127.0.0.1:9/v1"])
@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, base_url: str, scheme: str) -> None:
    port = free_port()
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:{port}")
    said = complaint_of(provider_at(base_url))
    assert f"the proxy 127.0.0.1:{port} cannot be reached" in said
    assert "correct ALL_PROXY, or name 127.0.0.1 in NO_PROXY" in said


def test_a_proxys_wrong_address_is_refused_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "ftp://proxy:3128")
    provider = provider_at("https://host/v1")
    for attempt in (lambda: Engine(provider), lambda: verify(provider, "m")):
        with pytest.raises(InvalidInput, match="environment HTTPS_PROXY is no proxy's address"):
            attempt()
