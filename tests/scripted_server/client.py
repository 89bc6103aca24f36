"""The tests' side of the scripted server: start its process, write its script, read its log.

Every control call is a connection of its own, so that it works from any thread; none counts in the figures.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.scripted_server.steps import Step

SERVER = Path(__file__).with_name("server.py")
CONTROL_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Received:
    """One request as the server saw it.

    `status` is None while there is no answer. `received_at` is `time.monotonic()` of this machine;
    `in_flight` counts the open requests, this one included.
    """

    method: str
    path: str
    document: str | None
    status: int | None
    headers: Mapping[str, str]
    body: Any
    received_at: float
    in_flight: int


@dataclass(frozen=True, slots=True)
class Stats:
    """Figures since the reset.

    `answered` counts requests whose answer was sent, `connections` those that carried a request,
    `stale_closed` the requests that met a connection closed by `stale_connection`, which count nowhere else.
    """

    requests: int
    answered: int
    by_document: Mapping[str, int]
    in_flight: int
    max_in_flight: int
    connections: int
    stale_closed: int


class ScriptedServer:
    """One running server. Scripts add up until `reset()`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.base_url = f"{url}/v1"
        self.port = urlsplit(url).port or 0

    def script(self, documents: Mapping[str, Step | Sequence[Step]]) -> None:
        """Steps per document (`doc-3`, or `*`: those not named), one per attempt; the last one repeats."""
        lists = {name: [steps] if isinstance(steps, Step) else steps for name, steps in documents.items()}
        self._set(documents={name: [step.to_json() for step in steps] for name, steps in lists.items()})

    def script_all(self, *steps: Step) -> None:
        """The steps that each document without its own meets, from its first attempt on."""
        self.script({"*": steps})

    def expect_key(self, key: str | None) -> None:
        """Answer 401 to requests without this bearer key; None: to nobody."""
        self._set(expected_key=key)

    def know_models(self, *models: str) -> None:
        """Answer 404 to requests for other models; these are what `/v1/models` lists."""
        self._set(known_models=models)

    def list_nothing(self) -> None:
        """Answer 404 to `GET /v1/models`."""
        self._set(lists_models=False)

    def delay(self, seconds: float) -> None:
        """Latency of every answer whose step has none of its own."""
        self._set(delay_s=seconds)

    def answer_json(self, content: Any) -> None:
        """The default content for requests with a JSON schema."""
        self._set(json_content=content)

    def log(self) -> list[Received]:
        """Every request since the reset, in the order of arrival."""
        return [Received(**entry) for entry in self._call("GET", "/_log")]

    def requests_for(self, document: str) -> list[Received]:
        """The requests of one document."""
        return [received for received in self.log() if received.document == document]

    def stats(self) -> Stats:
        """The figures now."""
        return Stats(**self._call("GET", "/_stats"))

    def wait_for(
        self,
        *,
        requests: int = 0,
        answered: int = 0,
        in_flight: int = 0,
        timeout_s: float = CONTROL_TIMEOUT_S,
    ) -> Stats:
        """Block until at least so many were received, answered and are open; `TimeoutError` otherwise."""
        wanted = {"requests": requests, "answered": answered, "in_flight": in_flight}
        try:
            return Stats(**self._call("POST", "/_wait", wanted, timeout_s))
        except TimeoutError:
            raise TimeoutError(f"waited {timeout_s} s for {wanted}, got {self.stats()}") from None

    def release(self) -> int:
        """Answer the requests that hang now; how many there were."""
        return int(self._call("POST", "/_release")["released"])

    def reset(self) -> None:
        """Forget script, log and figures; requests without an answer lose their connection."""
        self._call("POST", "/_reset")

    def _set(self, **changes: Any) -> None:
        self._call("POST", "/_script", changes)

    def _call(self, method: str, path: str, content: Any = None, timeout_s: float = CONTROL_TIMEOUT_S) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(method, path, json.dumps(content))
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(f"the scripted server refused {path}: {answer['error']}")
        return answer


@contextmanager
def start_server(port: int = 0) -> Iterator[ScriptedServer]:
    """A server process of its own, on any free port unless one is named; it ends with the block."""
    # Without site-packages: a faster start, and no other distribution's `tests` package in the way.
    command = [sys.executable, "-S", str(SERVER), str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the scripted server did not start on port {port}: see its standard error")
        try:
            yield ScriptedServer(json.loads(line)["url"])
        finally:
            process.stdin.close()
            _end(process)


def free_port() -> int:
    """A loopback port where nothing listens at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
