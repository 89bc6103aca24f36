"""The transport that is used unless a user hands over a client: pyreqwest, chosen by measurement.

benchmarks/client_cpu.py has the figures. HTTP/1.1 with keep-alive, TLS, gzip, stale connections repaired.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pyreqwest.exceptions as reqwest_errors
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.proxy import ProxyBuilder
from pyreqwest.request import RequestBuilder

from prefect_llm.engine.connection_faults import (
    MAX_ANSWER_BYTES,
    PROXY_UNAUTHORIZED,
    Door,
    Obstacle,
    connect_timeout_s,
    connection_lost,
    no_connection,
    sized,
    tighter,
    timed_out,
)
from prefect_llm.engine.proxies import proxy_for
from prefect_llm.values.errors import InvalidInput, Unavailable
from prefect_llm.values.provider import Provider
from prefect_llm.wire.http import Answer

CONNECT_PHASE = "client error (Connect)"
"""How hyper calls the phase before a connection stands; pyreqwest raises its connect errors beyond it, too."""
OBSTACLES = (
    ("invalid peer certificate: UnknownIssuer", Obstacle.UNKNOWN_AUTHORITY),
    ("invalid peer certificate: ", Obstacle.BAD_CERTIFICATE),
    ("received corrupt message", Obstacle.NO_TLS),
    ("tunnel error: proxy authorization required", Obstacle.PROXY_UNAUTHORIZED),
    ("tunnel error: failed to create underlying connection", Obstacle.OTHER),
    ("tunnel error: ", Obstacle.PROXY_REFUSED),
    ("SOCKS error: failed to create underlying connection", Obstacle.OTHER),
    ("SOCKS error: ", Obstacle.PROXY_REFUSED),
    ("dns error", Obstacle.UNKNOWN_HOST),
    ("Connection refused", Obstacle.REFUSED),
)
"""How the causes begin that rustls, hyper-util and the system name; pyreqwest 0.15 has no types for them."""


def build_client(provider: Provider, headers: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Client:
    """A client for that provider.

    Raises `InvalidInput` for a proxy that cannot be one, and where no certificate authority can be read.
    """
    if (file := environ.get("SSL_CERT_FILE")) and not os.access(file, os.R_OK):
        raise InvalidInput(_without_authorities(environ))  # else a folder of SSL_CERT_DIR would hide it
    timeouts = provider.timeouts
    builder = ClientBuilder().default_headers(dict(headers)).follow_redirects(False).referer(False).no_proxy()
    if (proxy := proxy_for(provider.base_url, environ)) is not None:
        builder = builder.proxy(ProxyBuilder.all(proxy.url))
    builder = builder.connect_timeout(timedelta(seconds=connect_timeout_s(timeouts)))
    if timeouts.idle_s is None:
        builder = builder.timeout(timedelta(seconds=timeouts.attempt_s))
    else:
        builder = builder.read_timeout(timedelta(seconds=timeouts.idle_s))
    try:
        return builder.build()
    except reqwest_errors.BuilderError as error:
        raise InvalidInput(_without_authorities(environ)) from error


class ReqwestTransport:
    """One client of pyreqwest, with the proxy and the certificates that the environment names."""

    def __init__(self, provider: Provider, headers: Mapping[str, str]) -> None:
        self._timeouts = provider.timeouts
        self._door = Door.to(provider.base_url, proxy_for(provider.base_url, os.environ))
        self._client = build_client(provider, headers)

    async def post(self, url: str, body: bytes, timeout_s: float | None = None) -> Answer:
        """One attempt."""
        return await self._send(self._client.post(url).body_bytes(body), timeout_s)

    async def get(self, url: str, timeout_s: float | None = None) -> Answer:
        """Read what is at the URL."""
        return await self._send(self._client.get(url), timeout_s)

    async def _send(self, request: RequestBuilder, timeout_s: float | None) -> Answer:
        bound_s = tighter(self._timeouts, timeout_s)
        if bound_s is not None:
            request = request.timeout(timedelta(seconds=bound_s))
        began = time.monotonic()
        try:
            async with request.build_streamed() as response:
                content = await response.body_reader.read(MAX_ANSWER_BYTES + 1)
        except reqwest_errors.RequestError as error:
            raise self._failure(error, bound_s, time.monotonic() - began) from error
        if response.status == PROXY_UNAUTHORIZED and self._door.proxy is not None:
            raise no_connection(self._door, Obstacle.PROXY_UNAUTHORIZED, f"HTTP {response.status}")
        return sized(Answer(response.status, response.headers, bytes(content or b""), self._door.speaking_proxy))

    async def close(self) -> None:
        """Close idle connections."""
        await self._client.close()

    def _failure(self, error: reqwest_errors.RequestError, bound_s: float | None, waited_s: float) -> Unavailable:
        """The innermost cause says what happened (`Connection refused`), the first only where.

        pyreqwest has one error for both sorts of timeout: the time waited tells them apart.
        """
        causes = [cause["message"] for cause in error.details["causes"] or ()] or [error.message]
        if CONNECT_PHASE in causes:
            return no_connection(self._door, _obstacle(causes), _detail(causes[-1]))
        if isinstance(error, reqwest_errors.RequestTimeoutError):
            return timed_out(self._timeouts, None if bound_s is None or waited_s < bound_s else bound_s)
        return connection_lost(causes[-1])


def _obstacle(causes: list[str]) -> Obstacle:
    return next((found for words, found in OBSTACLES for cause in causes if cause.startswith(words)), Obstacle.OTHER)


def _detail(cause: str) -> str:
    """The innermost cause, without the words that the sentence around it says."""
    for words in ("invalid peer certificate: ", "tunnel error: ", "SOCKS error: "):
        cause = cause.removeprefix(words)
    return cause


def _without_authorities(environ: Mapping[str, str]) -> str:
    """Why there is no authority to trust."""
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if path := environ.get(variable):
            return (
                f"environment {variable} names {path}, where {_missing(Path(path))}: give the certificates of the "
                f"authorities to trust in PEM, or unset {variable}"
            )
    return "this machine trusts no certificate authority: install ca-certificates, or set SSL_CERT_FILE to a PEM file"


def _missing(path: Path) -> str:
    try:
        if path.is_dir():
            next(path.iterdir(), None)
        else:
            path.read_bytes()
    except OSError as error:
        return f"nothing can be read ({error.strerror})"
    return "no certificate can be read"
