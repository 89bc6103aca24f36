"""The seam to the network: a body goes out to a URL, an answer comes back, or `Unavailable`.

Two transports: pyreqwest, chosen by measurement (benchmarks/client_cpu.py), and any `httpx.AsyncClient` that
a user hands over for a proxy, client certificates or a transport of their own. Neither follows redirects.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol
from urllib.parse import urlsplit

import httpx
import pyreqwest.exceptions as reqwest_errors
from pyreqwest.client import ClientBuilder
from pyreqwest.http import Url

from prefect_llm.values.errors import BadResponse, InvalidInput, Unavailable
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.provider import Provider, Timeouts
from prefect_llm.wire.formats import format_of
from prefect_llm.wire.http import Answer

MAX_ANSWER_BYTES = 64 * 1024 * 1024

CONNECT_PHASE = "client error (Connect)"
"""How hyper calls the phase before a connection stands; pyreqwest raises its connect errors beyond it, too."""
CONNECT_SHARE = 0.9
"""Of an attempt's time: where both end at once, pyreqwest tells of the time and not of the missing connection."""


class Transport(Protocol):
    """Sends bodies to one provider. Lives on one event loop."""

    async def post(self, url: str, body: bytes, timeout_s: float | None = None) -> Answer:
        """One attempt, under the provider's timeout and at most `timeout_s`.

        Raises `Unavailable`, or `BadResponse` for an oversized answer.
        """

    async def close(self) -> None:
        """Close idle connections."""


def check_provider(provider: Provider) -> None:
    """Raise `InvalidInput`, which repeats no secret, on an address, a format or a header that cannot be used."""
    if not _is_web_address(provider.base_url):
        shown = "" if "@" in provider.base_url else f" {provider.base_url!r}"
        raise InvalidInput(
            f"base_url{shown} is no http(s) address: write one like https://host/v1, without user or password"
        )
    authentication = format_of(provider).headers(provider)
    for name, value in request_headers(provider).items():
        if not (value.isascii() and value.isprintable()):
            what = "the API key" if name in authentication else f"the value of {name!r}"
            raise InvalidInput(
                f"{what} cannot be sent as a header: it holds a line break or a character beyond ASCII; take it out"
            )


def _is_web_address(base_url: str) -> bool:
    try:
        parts, parsed = urlsplit(base_url), Url(base_url)
    except ValueError:
        return False
    sound = parsed.scheme in ("http", "https") and bool(parts.hostname) and base_url.isprintable()
    return sound and "@" not in parts.netloc


def open_transport(provider: Provider) -> Transport:
    """The transport to the provider: the user's own httpx client if there is one, else pyreqwest."""
    if provider.http_client is not None:
        return HttpxTransport(provider.http_client(), request_headers(provider), provider.timeouts)
    return ReqwestTransport(request_headers(provider), provider.timeouts)


def request_headers(provider: Provider) -> dict[str, str]:
    """The headers every request carries: the format's own, over which the provider's win."""
    version = importlib.metadata.version("prefect-llm")
    headers = {"content-type": "application/json", "user-agent": f"prefect-llm/{version}"}
    own = format_of(provider).headers(provider)
    return headers | own | {name.lower(): value for name, value in provider.headers.items()}


class ReqwestTransport:
    """HTTP/1.1 with keep-alive by pyreqwest: proxies from the environment, TLS, gzip, stale connections."""

    def __init__(self, headers: Mapping[str, str], timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        builder = ClientBuilder().default_headers(headers).follow_redirects(False).referer(False)
        builder = builder.connect_timeout(timedelta(seconds=_connect_timeout_s(timeouts)))
        if timeouts.idle_s is None:
            self._client = builder.timeout(timedelta(seconds=timeouts.attempt_s)).build()
        else:
            self._client = builder.read_timeout(timedelta(seconds=timeouts.idle_s)).build()

    async def post(self, url: str, body: bytes, timeout_s: float | None = None) -> Answer:
        """One attempt."""
        bound_s = _tighter(self._timeouts, timeout_s)
        request = self._client.post(url).body_bytes(body)
        if bound_s is not None:
            request = request.timeout(timedelta(seconds=bound_s))
        began = time.monotonic()
        try:
            async with request.build_streamed() as response:
                content = await response.body_reader.read(MAX_ANSWER_BYTES + 1)
        except reqwest_errors.RequestError as error:
            raise self._failure(error, bound_s, time.monotonic() - began) from error
        return _sized(Answer(response.status, response.headers, bytes(content or b"")))

    async def close(self) -> None:
        """Close idle connections."""
        await self._client.close()

    def _failure(self, error: reqwest_errors.RequestError, bound_s: float | None, waited_s: float) -> Unavailable:
        """The innermost cause says what happened (`Connection refused`), the first only where.

        pyreqwest has one error for both sorts of timeout: the time waited tells them apart.
        """
        causes = [cause["message"] for cause in error.details["causes"] or ()] or [error.message]
        if CONNECT_PHASE in causes:
            return _no_connection(causes[-1])
        if isinstance(error, reqwest_errors.RequestTimeoutError):
            return _timed_out(self._timeouts, None if bound_s is None or waited_s < bound_s else bound_s)
        return _connection_lost(causes[-1])


class HttpxTransport:
    """A client of the user's own: whatever proxy, certificate or transport it was built with."""

    def __init__(self, client: httpx.AsyncClient, headers: Mapping[str, str], timeouts: Timeouts) -> None:
        self._client = client
        self._headers = headers
        self._timeouts = timeouts
        # A wait for one of the client's connections is no silence of the endpoint's.
        connect_s = _connect_timeout_s(timeouts)
        self._timeout = httpx.Timeout(_longest_silence_s(timeouts), connect=connect_s, pool=None)

    async def post(self, url: str, body: bytes, timeout_s: float | None = None) -> Answer:
        """One attempt."""
        bound_s = _tighter(self._timeouts, timeout_s)
        total_s = self._timeouts.attempt_s if bound_s is None and self._timeouts.idle_s is None else bound_s
        try:
            async with asyncio.timeout(total_s):
                return await self._post(url, body)
        except httpx.ConnectTimeout as error:
            raise _no_connection("no answer to the connection attempt") from error
        except httpx.TimeoutException as error:
            raise _timed_out(self._timeouts, None) from error
        except TimeoutError as error:
            raise _timed_out(self._timeouts, total_s) from error
        except httpx.ConnectError as error:
            raise _no_connection(str(error)) from error
        except (httpx.RequestError, httpx.StreamError) as error:
            raise _connection_lost(str(error) or type(error).__name__) from error

    async def _post(self, url: str, body: bytes) -> Answer:
        request = self._client.build_request(
            "POST", url, content=body, headers=dict(self._headers), timeout=self._timeout
        )
        response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            content = bytearray()
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > MAX_ANSWER_BYTES:
                    break
        finally:
            await response.aclose()
        return _sized(Answer(response.status_code, response.headers, bytes(content)))

    async def close(self) -> None:
        """Close the client."""
        await self._client.aclose()


def _sized(answer: Answer) -> Answer:
    if len(answer.body) > MAX_ANSWER_BYTES:
        raise BadResponse(f"answer larger than {MAX_ANSWER_BYTES:,} bytes", status=answer.status)
    return answer


def _longest_silence_s(timeouts: Timeouts) -> float:
    """Seconds without a byte after which an attempt has failed."""
    return timeouts.attempt_s if timeouts.idle_s is None else timeouts.idle_s


def _connect_timeout_s(timeouts: Timeouts) -> float:
    return min(timeouts.connect_s, CONNECT_SHARE * _longest_silence_s(timeouts))


def _tighter(timeouts: Timeouts, timeout_s: float | None) -> float | None:
    """The bound on one attempt where it is tighter than the provider's; streamed answers have no other."""
    if timeout_s is None or (timeouts.idle_s is None and timeout_s >= timeouts.attempt_s):
        return None
    return timeout_s


def _timed_out(timeouts: Timeouts, bound_s: float | None) -> Unavailable:
    """`bound_s` is the bound that passed, `None` where it was the provider's own."""
    if bound_s is None and timeouts.idle_s is not None:
        return Unavailable(f"nothing came for {timeouts.idle_s:g} s", kind=ErrorKind.TIMEOUT)
    within_s = timeouts.attempt_s if bound_s is None else bound_s
    return Unavailable(f"no complete answer within {round(within_s, 3):g} s", kind=ErrorKind.TIMEOUT)


def _no_connection(why: str) -> Unavailable:
    return Unavailable(f"no connection: {why}", kind=ErrorKind.CONNECTION, unreachable=True)


def _connection_lost(why: str) -> Unavailable:
    return Unavailable(f"connection lost: {why}", kind=ErrorKind.CONNECTION)
