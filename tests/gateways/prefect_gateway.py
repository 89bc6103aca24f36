"""A gateway before a Prefect server that can be told to be ill: a process of its own, standard library only.

`python prefect_gateway.py PORT SERVER_PORT`. A POST to `/-/ill` says how (`Illness`, as JSON; `{}` is well), and cuts
the websockets that are open. A GET of `/-/spoilt` tells which calls were answered wrongly, as `METHOD PATH`, and one
of `/-/faults` which the server itself answered with 5xx.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"
Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


@dataclass(slots=True)
class Illness:
    """What it does with calls: answers `status`, `cuts` answers off, waits `delay_s`. By default it is well.

    Spoilt are calls whose `METHOD PATH` contains `only`, and of these one in `every`.
    """

    status: int | None = None
    cuts: bool = False
    delay_s: float = 0.0
    only: str = ""
    every: int = 1

    def concerns(self, call: str) -> bool:
        """Whether it spoils calls such as this one."""
        return (self.status is not None or self.cuts) and self.only in call


@dataclass(slots=True)
class Gateway:
    """What is in its way now, and what was."""

    server_port: int
    illness: Illness = field(default_factory=Illness)
    concerned: int = 0
    spoilt: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    websockets: set[Writer] = field(default_factory=set)
    connections: set[asyncio.Task[None] | None] = field(default_factory=set)

    async def serve(self, reader: Reader, writer: Writer) -> None:
        """One connection, one call."""
        connection = asyncio.current_task()
        self.connections.add(connection)  # the loop itself would let go of it
        try:
            head = await reader.readuntil(HEAD_END)
            body = await reader.readexactly(_length(head))
            method, path, _ = head.decode().split(" ", 2)
            if path.startswith("/-/"):
                await _answer(writer, 200, self._told(path, body))
            else:
                await self._pass_on(f"{method} {path}", head, body, reader, writer)
        except (OSError, EOFError, asyncio.IncompleteReadError):
            pass  # who gave up has gone
        finally:
            self.connections.discard(connection)
            writer.close()

    def _told(self, path: str, body: bytes) -> bytes:
        if path == "/-/ill":
            self.illness, self.concerned = Illness(**json.loads(body)), 0
            for websocket in self.websockets:
                websocket.close()
        return json.dumps(self.faults if path == "/-/faults" else self.spoilt).encode()

    async def _pass_on(self, call: str, head: bytes, body: bytes, reader: Reader, writer: Writer) -> None:
        illness = self.illness
        await asyncio.sleep(illness.delay_s)
        self.concerned += illness.concerns(call)
        spoils = illness.concerns(call) and self.concerned % illness.every == 0
        if spoils:
            self.spoilt.append(call)
        if spoils and illness.status is not None:
            await _answer(writer, illness.status, b'{"exception_message": "Service Unavailable"}')
            return

        upstream, into = await asyncio.open_connection("127.0.0.1", self.server_port)
        try:
            upgrades = b"\r\nupgrade: websocket" in head.lower()
            into.write((head if upgrades else _closing(head)) + body)
            await into.drain()
            if spoils:
                writer.write((await upstream.read(65536))[:-1])
                await writer.drain()
            elif upgrades:
                await self._join(reader, writer, upstream, into)
            else:
                beginning = await upstream.read(65536)
                if beginning.startswith(b"HTTP/1.1 5"):
                    self.faults.append(call)
                writer.write(beginning)
                await _copy(upstream, writer)
        finally:
            into.close()

    async def _join(self, reader: Reader, writer: Writer, upstream: Reader, into: Writer) -> None:
        self.websockets.add(writer)
        ways = [asyncio.ensure_future(_copy(reader, into)), asyncio.ensure_future(_copy(upstream, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.websockets.discard(writer)
            for way in ways:
                way.cancel()


async def _copy(source: Reader, sink: Writer) -> None:
    while piece := await source.read(65536):
        sink.write(piece)
        await sink.drain()


async def _answer(writer: Writer, status: int, body: bytes) -> None:
    head = (
        f"HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close"
    )
    writer.write(head.encode() + HEAD_END + body)
    await writer.drain()


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _closing(head: bytes) -> bytes:
    """The head of a call after which the server closes the connection."""
    lines = [line for line in head.split(b"\r\n") if line and not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*lines, b"connection: close"]) + HEAD_END


async def _main(port: int, server_port: int) -> None:
    gateway = Gateway(server_port)
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", port, limit=2**20)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
