"""One client's connection: its requests in order, each answered before the next is read."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from typing import cast

from prefect_llm.simulation import answers
from prefect_llm.simulation.answers import Delivery, Then
from prefect_llm.simulation.faults import Fault
from prefect_llm.simulation.formats import format_at
from prefect_llm.simulation.http_requests import Head, MalformedRequest, RequestReader
from prefect_llm.simulation.provider import Service, SimulatedProvider
from prefect_llm.simulation.turns import Turns

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)

Route = Callable[[Head], Delivery]
"""Answers everything except requests to a model."""


class Connection(asyncio.Protocol):
    """Waits for a slot, then for its latency on a timer of the loop; a client that disconnects frees its slot."""

    def __init__(self, provider: SimulatedProvider, turns: Turns, route: Route, opened: set[Connection]) -> None:
        self._provider = provider
        self._turns = turns
        self._route = route
        self._opened = opened
        self._loop = asyncio.get_running_loop()
        self._reader = RequestReader()
        self._service: Service | None = None
        self._closes = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)
        self._opened.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Give up the slot, or the wait for one."""
        self._opened.discard(self)
        service, self._service = self._service, None
        if service is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._provider.abandon(service, time.monotonic())
        if service.fault is not Fault.HANG:
            self._turns.leave(self)

    def abort(self) -> None:
        """Drop the connection at once."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take the bytes; while a request is being answered they wait."""
        self._reader.feed(data)
        if self._service is None:
            self._read_on()

    def _read_on(self) -> None:
        try:
            while self._service is None and not self._transport.is_closing():
                request = self._reader.next_request()
                if request is None:
                    break
                self._take(*request)
        except MalformedRequest as error:
            self._closes = True
            self._deliver(answers.error(error.status, str(error)))
        if self._reader.must_continue() and not self._transport.is_closing():
            self._transport.write(_CONTINUE)

    def _take(self, head: Head, body: bytes) -> None:
        self._closes = head.closes
        wire_format = format_at(head.path) if head.method == "POST" else None
        if wire_format is None:
            self._deliver(self._route(head))
            return

        first = self._provider.stats.first_request_at is None
        decided = self._provider.admit(wire_format, head, body, now := time.monotonic())
        if first:
            self._turns.begin(now)
        if isinstance(decided, Delivery):
            self._deliver(decided)
            return
        self._service = decided
        if decided.fault is not Fault.HANG and self._turns.enter(self):
            self.serve()

    def serve(self) -> None:
        """The request has its slot: the latency counts from now."""
        service = self._service
        if service is None:  # the client disconnected before this call
            return
        if service.asked.stream and service.fault is not Fault.SERVER_ERROR:
            pieces = self._provider.stream(service, time.monotonic())
            self._write_piece(pieces, 0, service.latency_s / len(pieces), self._loop.time())
        elif service.latency_s > 0:
            self._timer = self._loop.call_later(service.latency_s, self._answer_and_read_on)
        else:
            self._answer()

    def _answer_and_read_on(self) -> None:
        self._answer()
        self._read_on()

    def _answer(self) -> None:
        service, self._service = self._service, None
        assert service is not None
        self._timer = None
        self._deliver(self._provider.answer(service, time.monotonic()))
        self._turns.leave(self)

    def _write_piece(self, pieces: list[bytes], written: int, apart_s: float, started: float) -> None:
        """Schedule the next piece, at even distances from the start."""
        due = started + apart_s * (written + 1)
        self._timer = self._loop.call_at(due, self._piece_due, pieces, written, apart_s, started)

    def _piece_due(self, pieces: list[bytes], written: int, apart_s: float, started: float) -> None:
        self._transport.write(pieces[written])
        if written + 1 < len(pieces):
            self._write_piece(pieces, written + 1, apart_s, started)
            return
        service, self._service = self._service, None
        assert service is not None
        self._timer = None
        self._deliver(Delivery(b"", self._provider.end_stream(service, time.monotonic())))
        self._turns.leave(self)
        self._read_on()

    def _deliver(self, delivery: Delivery) -> None:
        data, then = delivery
        if then is Then.RESET:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            self._transport.abort()
            return
        if data:
            self._transport.write(data)
        if self._closes or then is Then.CLOSE:
            self._transport.close()
