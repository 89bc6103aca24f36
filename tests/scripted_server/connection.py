"""One client connection of the scripted server: HTTP/1.1 on a bare `asyncio.Protocol`, faults included.

Requests on a connection are answered one after the other; nothing waits in a task, only in the loop's timers.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from tests.scripted_server.answers import completion, head, models
from tests.scripted_server.script import DEFAULT_MODELS, Received, State, Waiter
from tests.scripted_server.steps import Step, error, status

CHAT = "/v1/chat/completions"
MODELS = "/v1/models"
RST_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True, eq=False)
class Server:
    """What the connections share. `state` is replaced by a reset."""

    state: State = field(default_factory=State)
    open: set[Connection] = field(default_factory=set)
    number: int = 0

    def reset(self) -> None:
        """Forget everything; requests that wait for an answer lose their connection."""
        for connection in list(self.open):
            connection.drop_unless_idle()
        self.state = State()

    def release(self) -> int:
        """Answer the hanging requests; how many there were."""
        return sum([connection.release() for connection in list(self.open)])


@dataclass(slots=True)
class Exchange:
    """The request a connection is busy with; `body` and `step` are its answer."""

    state: State
    received: Received
    step: Step
    body: bytes
    number: int


class Connection(asyncio.Protocol):
    """Reads requests, asks the state for the step, delivers it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = bytearray()
        self._exchange: Exchange | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: Waiter | None = None
        self._seen_by: State | None = None
        self._stale = self._hanging = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.open.discard(self)
        if self._timer:
            self._timer.cancel()
        self._end()

    def data_received(self, data: bytes) -> None:
        if self._stale:
            self._server.state.stale_closed += 1
            self._transport.abort()
            return
        self._buffer += data
        self._read_requests()

    def drop_unless_idle(self) -> None:
        """Close without an answer if one is owed, or if the next request was to meet a stale connection."""
        if self._exchange or self._stale:
            self._transport.abort()

    def release(self) -> bool:
        """Answer the hanging request, if there is one."""
        released = self._hanging
        if released:
            self._hanging = False
            self._send_whole(self._current())
        return released

    def _read_requests(self) -> None:
        while self._exchange is None and self._waiter is None and not self._transport.is_closing():
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            method, path, headers = _parse_head(bytes(self._buffer[:end]))
            until = end + 4 + int(headers.get("content-length", 0))
            if len(self._buffer) < until:
                return
            body = bytes(self._buffer[end + 4 : until])
            del self._buffer[:until]
            if path.startswith("/_"):
                self._control(f"{method} {path}", body)
            else:
                self._begin(method, path, headers, body)

    def _begin(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        server, state = self._server, self._server.state
        if self._seen_by is not state:
            self._seen_by = state
            state.connections += 1
        server.number += 1
        received, request = state.begin(method, path, headers, body)
        step = _step(state, received, request)
        self._exchange = Exchange(state, received, step, b"", server.number)
        if step.body is not None:
            self._exchange.body = step.body.encode()
        else:
            answer = completion(request, step, state.json_content, server.number)
            self._exchange.body = json.dumps(answer).encode()
        delay_s = state.delay_s if step.delay_s is None else step.delay_s
        self._later(delay_s, self._deliver)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        if seconds <= 0:
            call()
        else:
            self._timer = asyncio.get_running_loop().call_later(seconds, call)

    def _deliver(self) -> None:
        exchange = self._current()
        match exchange.step.delivery:
            case "hang":
                self._hanging = True
            case "close":
                self._transport.close()
            case "reset":
                connection = self._transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
                self._transport.abort()
            case "cut":
                self._write_head(exchange)
                self._transport.write(exchange.body[: len(exchange.body) // 2])
                self._transport.close()
            case "slow":
                self._write_head(exchange)
                self._send_piece(0)
            case "chunked":
                self._send_chunked(exchange)
            case "gzip" if "gzip" in exchange.received.headers.get("accept-encoding", ""):
                exchange.body = gzip.compress(exchange.body)
                self._send_whole(exchange, {"content-encoding": "gzip"})
            case _:
                self._send_whole(exchange)

    def _send_whole(self, exchange: Exchange, more: dict[str, str] | None = None) -> None:
        self._write_head(exchange, more, exchange.body)
        self._stale = exchange.step.delivery == "stale_connection"
        if exchange.step.delivery == "close_idle":
            self._transport.close()
        self._go_on()

    def _send_chunked(self, exchange: Exchange) -> None:
        size, body = exchange.step.piece_bytes, exchange.body
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        self._write_head(exchange, {"transfer-encoding": "chunked"}, framed + b"0\r\n\r\n")
        self._go_on()

    def _send_piece(self, at: int) -> None:
        exchange = self._current()
        until = at + exchange.step.piece_bytes
        self._transport.write(exchange.body[at:until])
        if until >= len(exchange.body):
            self._go_on()
        else:
            self._later(exchange.step.pause_s, lambda: self._send_piece(until))

    def _write_head(self, exchange: Exchange, more: dict[str, str] | None = None, rest: bytes = b"") -> None:
        exchange.received.status = exchange.step.status
        self._transport.write(head(exchange.step, exchange.body, exchange.number, more or {}) + rest)

    def _go_on(self) -> None:
        if self._current().received.headers.get("connection", "").lower() == "close":
            self._transport.close()
        self._end()
        self._read_requests()

    def _current(self) -> Exchange:
        assert self._exchange is not None
        return self._exchange

    def _end(self) -> None:
        exchange, self._exchange, self._hanging = self._exchange, None, False
        if exchange:
            exchange.state.end(exchange.received)

    def _control(self, route: str, body: bytes) -> None:
        server = self._server
        match route:
            case "POST /_script":
                self._answer_control(*_script(server.state, body))
            case "GET /_log":
                self._answer_control(200, [received.to_json() for received in server.state.log])
            case "GET /_stats":
                self._answer_control(200, server.state.stats())
            case "POST /_reset":
                server.reset()
                self._answer_control(200, {})
            case "POST /_release":
                self._answer_control(200, {"released": server.release()})
            case "POST /_wait":
                self._waiter = Waiter(**json.loads(body), wake=self._woken)
                server.state.waiters.append(self._waiter)
                server.state.wake_waiters()
            case _:
                self._answer_control(404, {"error": f"there is no {route}"})

    def _woken(self) -> None:
        self._waiter = None
        self._answer_control(200, self._server.state.stats())

    def _answer_control(self, code: int, answer: Any) -> None:
        body = json.dumps(answer).encode()
        self._transport.write(head(Step(status=code), body, 0, {}) + body)


def _step(state: State, received: Received, request: Any) -> Step:
    match received.method, received.path.partition("?")[0]:
        case "POST", path if path == CHAT:
            return state.chat_step(received, request)
        case "GET", path if path == MODELS and not state.lists_models:
            return error(404, f"Invalid URL (GET {path})")
        case "GET", path if path == MODELS:
            listed = state.known_models if state.known_models is not None else DEFAULT_MODELS
            return state.refusal_of_key(received) or status(200, models(listed))
        case method, path if path in (CHAT, MODELS):
            return error(405, f"Not allowed to {method} on {path}.")
        case method, path:
            return error(404, f"Invalid URL ({method} {path})")


def _script(state: State, body: bytes) -> tuple[int, dict[str, str]]:
    try:
        state.update(json.loads(body))
    except (ValueError, TypeError, AttributeError) as problem:
        return 400, {"error": str(problem)}
    return 200, {}


def _parse_head(text: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = text.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    split = (line.partition(":") for line in lines)
    return method, path, {name.lower(): value.strip() for name, _, value in split}
