"""What may stand between a client and a server: a TLS front, an HTTP proxy, a SOCKS proxy, each on a port of its own.

They relay bytes and note who was asked for; a thread with an event loop runs each of them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.gateways.certificates import Certificates

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
HEAD_END = b"\r\n\r\n"


@dataclass(slots=True)
class Relay:
    """A running one: its port, and the places it was asked to connect to, as `host:port`."""

    port: int = 0
    asked: list[str] = field(default_factory=list)


@contextmanager
def tls_front(target_port: int, certificates: Certificates) -> Iterator[Relay]:
    """Speaks TLS, and hands what it decrypts to the target on this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.chain, certificates.key)
    relay = Relay()

    async def serve(reader: Reader, writer: Writer) -> None:
        await _join(reader, writer, *await asyncio.open_connection("127.0.0.1", target_port))

    with _running(relay, serve, context):
        yield relay


@contextmanager
def http_proxy(*, refuses: str | None = None, credentials: str | None = None) -> Iterator[Relay]:
    """Takes CONNECT, and requests for whole URLs.

    `refuses` is the status line that everyone gets; without the right `credentials` (base64) there is a 407.
    """
    relay = Relay()

    async def serve(reader: Reader, writer: Writer) -> None:
        head = await reader.readuntil(HEAD_END)
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        place = target if method == "CONNECT" else target.split("/")[2]
        relay.asked.append(place)
        if refused := refuses or _refusal_of(head, credentials):
            writer.write(f"HTTP/1.1 {refused}\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsorry\n".encode())
            await writer.drain()
            return
        host, _, port = place.rpartition(":")
        upstream, into = await asyncio.open_connection(host.strip("[]"), int(port))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await _join(reader, writer, upstream, into)
        else:
            scheme_and_host = f" http://{place}".encode()
            into.write(head.replace(scheme_and_host, b" "))
            await _join(reader, writer, upstream, into, dropped=scheme_and_host)

    with _running(relay, serve):
        yield relay


@contextmanager
def socks_proxy(*, refuses: bool = False) -> Iterator[Relay]:
    """SOCKS 5 without authentication (RFC 1928); names are looked up here."""
    relay = Relay()

    async def serve(reader: Reader, writer: Writer) -> None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        port = int.from_bytes(await reader.readexactly(2))
        relay.asked.append(f"{host}:{port}")
        if refuses:
            writer.write(b"\x05\x02\x00\x01" + bytes(6))
            await writer.drain()
            return
        upstream, into = await asyncio.open_connection(host, port)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await _join(reader, writer, upstream, into)

    with _running(relay, serve):
        yield relay


def _refusal_of(head: bytes, credentials: str | None) -> str | None:
    if credentials is None or f"proxy-authorization: basic {credentials}".lower() in head.decode().lower():
        return None
    return "407 Proxy Authentication Required"


async def _join(reader: Reader, writer: Writer, upstream: Reader, into: Writer, dropped: bytes | None = None) -> None:
    """Copy both ways until either side closes; in the client's requests `dropped` becomes a space."""
    ways = [asyncio.ensure_future(_copy(reader, into, dropped)), asyncio.ensure_future(_copy(upstream, writer))]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    into.close()
    for way in ways:
        way.cancel()


async def _copy(source: Reader, sink: Writer, dropped: bytes | None = None) -> None:
    while piece := await source.read(65536):
        sink.write(piece if dropped is None else piece.replace(dropped, b" "))
        await sink.drain()


@contextmanager
def _running(
    relay: Relay, serve: Callable[[Reader, Writer], Awaitable[None]], context: ssl.SSLContext | None = None
) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # who gave up has gone

    async def serve_one(reader: Reader, writer: Writer) -> None:
        try:
            await serve(reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(serve_one, "127.0.0.1", 0, ssl=context)

    server = loop.run_until_complete(start())
    relay.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(_ended(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _ended(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
