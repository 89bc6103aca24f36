"""Simulated providers for tests: as a command in a process of its own, and raw connections to it."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.cli.commanding import COMMAND, environment

from prefect_llm.simulation import Simulation, parse_simulation
from prefect_llm.simulation.answers import Delivery
from prefect_llm.simulation.http_requests import read_head
from prefect_llm.simulation.openai_chat import PATH, OpenAIChat
from prefect_llm.simulation.provider import Service, SimulatedProvider

DEADLINE_S = 30


def simulation(**options: Any) -> Simulation:
    """Settings from options as they are typed; answers come at once unless told otherwise."""
    return parse_simulation(**{"latency": "0", "environ": {}, **options})


def body(text: str = "Hello there.", **members: Any) -> bytes:
    """The body of a request."""
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **members}).encode()


def request(content: bytes, *fields: str) -> bytes:
    """The bytes of one request."""
    head = ["POST /v1/chat/completions HTTP/1.1", "host: test", f"content-length: {len(content)}", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content


def chunked(body: bytes, sizes: list[int], *trailers: bytes) -> bytes:
    """A request whose body comes in chunks of those sizes, and the rest."""
    chunks, start = b"", 0
    for size in [*sizes, len(body)]:
        if part := body[start : start + size]:
            chunks += b"%X;name=value\r\n%b\r\n" % (len(part), part)
        start += size
    end = b"0\r\n" + b"".join(trailer + b"\r\n" for trailer in trailers) + b"\r\n"
    return b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + end


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; headers' names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def content(self) -> Any:
        """The text of the first choice."""
        return self.json()["choices"][0]["message"]["content"]


HELLO = body("x" * 40, max_tokens=90)
"""10 tokens in, up to 90 out."""


def provider(**options: Any) -> SimulatedProvider:
    return SimulatedProvider(simulation(**options))


CHAT = OpenAIChat()


def admit(
    simulated: SimulatedProvider, content: bytes = HELLO, now: float = 0.0, *, key: str | None = None
) -> Service | Delivery:
    """What becomes of a request."""
    field = f"authorization: Bearer {key}\r\n" if key else ""
    return simulated.admit(CHAT, read_head(f"POST {PATH} HTTP/1.1\r\n{field}".encode()), content, now)


def admitted(decided: Service | Delivery) -> Service:
    assert isinstance(decided, Service), decided
    return decided


def parsed(delivery: Service | Delivery) -> Answer:
    assert isinstance(delivery, Delivery)
    head, _, content = delivery.data.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    return Answer(int(line.split()[1]), dict(field.split(": ", 1) for field in fields), content)


def asked(simulated: SimulatedProvider, content: bytes = HELLO, now: float = 0.0) -> Answer:
    """The answer, without waiting for it."""
    decided = admit(simulated, content, now)
    return parsed(decided if isinstance(decided, Delivery) else simulated.answer(decided, now))


@dataclass(frozen=True, slots=True)
class Started:
    """A running `prefect-llm simulate`."""

    process: subprocess.Popen[str]
    port: int

    @property
    def base_url(self) -> str:
        """With `/v1`."""
        return f"http://127.0.0.1:{self.port}/v1"

    def ask(self, content: bytes | None = None, path: str = "/v1/chat/completions", **headers: str) -> Answer:
        """One request on a connection of its own: POST with a body, else GET."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request("GET" if content is None else "POST", path, content, headers)
            return read_answer(connection.getresponse())
        finally:
            connection.close()

    def stats(self) -> dict[str, Any]:
        """The stats."""
        stats: dict[str, Any] = self.ask(path="/stats").json()
        return stats

    def connect(self) -> socket.socket:
        """A raw connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)


def read_answer(response: http.client.HTTPResponse) -> Answer:
    """The whole answer."""
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def next_answer(sock: socket.socket) -> Answer:
    """The next answer on a raw connection, and not a byte more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        assert byte, f"the connection ended after {head!r}"
        head += byte
    line, *fields = head.decode().strip().split("\r\n")
    headers = dict(field.lower().split(": ", 1) for field in fields)
    content = b""
    while missing := int(headers.get("content-length", 0)) - len(content):
        content += sock.recv(missing)
    return Answer(int(line.split()[1]), headers, content)


@contextmanager
def started(*options: str, environ: Mapping[str, str] | None = None) -> Iterator[Started]:
    """A provider that answers at once unless told otherwise, on a free port."""
    at_once = () if "--latency" in options else ("--latency", "0")
    with subprocess.Popen(
        [str(COMMAND), "simulate", "--port", "0", *at_once, *options],
        env=environment() | dict(environ or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            yield Started(process, int(url.removesuffix("/v1").rpartition(":")[2]))
        finally:
            process.kill()
