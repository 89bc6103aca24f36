"""The transport of a user's own httpx client: whatever proxy, certificate or transport it was built with."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping

import httpx

from prefect_llm.engine.connection_faults import (
    MAX_ANSWER_BYTES,
    Door,
    Obstacle,
    connect_timeout_s,
    connection_lost,
    longest_silence_s,
    no_connection,
    sized,
    tighter,
    timed_out,
)
from prefect_llm.values.errors import NoConnection
from prefect_llm.values.provider import Provider
from prefect_llm.wire.http import Answer

UNKNOWN_AUTHORITY = frozenset({18, 19, 20, 21})
"""OpenSSL's X509_V_ERR numbers for a chain that ends at nobody who is trusted."""


class HttpxTransport:
    """One client, closed with the transport."""

    def __init__(self, client: httpx.AsyncClient, provider: Provider, headers: Mapping[str, str]) -> None:
        self._client = client
        self._headers = dict(headers)
        self._door = Door.to(provider.base_url)
        self._timeouts = timeouts = provider.timeouts
        # A wait for one of the client's connections is no silence of the endpoint's.
        self._timeout = httpx.Timeout(longest_silence_s(timeouts), connect=connect_timeout_s(timeouts), pool=None)

    async def post(self, url: str, body: bytes, timeout_s: float | None = None) -> Answer:
        """One attempt."""
        return await self._send("POST", url, body, timeout_s)

    async def get(self, url: str, timeout_s: float | None = None) -> Answer:
        """Read what is at the URL."""
        return await self._send("GET", url, None, timeout_s)

    async def _send(self, method: str, url: str, body: bytes | None, timeout_s: float | None) -> Answer:
        bound_s = tighter(self._timeouts, timeout_s)
        total_s = self._timeouts.attempt_s if bound_s is None and self._timeouts.idle_s is None else bound_s
        try:
            async with asyncio.timeout(total_s):
                return await self._read(method, url, body)
        except httpx.ConnectTimeout as error:
            raise no_connection(self._door, Obstacle.OTHER, "no answer to the connection attempt") from error
        except httpx.TimeoutException as error:
            raise timed_out(self._timeouts, None) from error
        except TimeoutError as error:
            raise timed_out(self._timeouts, total_s) from error
        except httpx.ProxyError as error:
            raise no_connection(self._door, Obstacle.PROXY_REFUSED, str(error)) from error
        except httpx.ConnectError as error:
            raise self._no_connection(error) from error
        except (httpx.RequestError, httpx.StreamError) as error:
            raise connection_lost(str(error) or type(error).__name__) from error

    async def _read(self, method: str, url: str, body: bytes | None) -> Answer:
        request = self._client.build_request(method, url, content=body, headers=self._headers, timeout=self._timeout)
        response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            content = bytearray()
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > MAX_ANSWER_BYTES:
                    break
        finally:
            await response.aclose()
        return sized(Answer(response.status_code, response.headers, bytes(content)))

    async def close(self) -> None:
        """Close the client."""
        await self._client.aclose()

    def _no_connection(self, error: httpx.ConnectError) -> NoConnection:
        cause = _root_cause(error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            unknown = cause.verify_code in UNKNOWN_AUTHORITY
            obstacle = Obstacle.UNKNOWN_AUTHORITY if unknown else Obstacle.BAD_CERTIFICATE
            return no_connection(self._door, obstacle, cause.verify_message)
        if isinstance(cause, ssl.SSLError):
            return no_connection(self._door, Obstacle.NO_TLS, cause.reason or str(cause))
        if isinstance(cause, ConnectionRefusedError):
            return no_connection(self._door, Obstacle.REFUSED, str(error))
        if isinstance(cause, socket.gaierror):
            return no_connection(self._door, Obstacle.UNKNOWN_HOST, str(error))
        return no_connection(self._door, Obstacle.OTHER, str(error))


def _root_cause(error: BaseException) -> BaseException:
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return error
