"""The log, the figures, and the process itself."""

from __future__ import annotations

import http.client
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer, free_port, start_server
from tests.scripted_server.raw_requests import ask, dial, post, raw_request, read_to_end

PROJECT = Path(__file__).resolve().parents[2]


@contextmanager
def open_files(number: int) -> Iterator[None]:
    """Within the block this process, and those it starts, may open so many files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_log_holds_what_was_received(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    before = time.monotonic()
    ask(connection, "about doc-12 and doc-13", key="sk-1")
    post(connection, b"\xff no json", path="/v1/other?x=1")
    first, second = scripted_server.log()
    assert (first.method, first.path, first.document) == ("POST", "/v1/chat/completions", "doc-12")
    assert first.headers["authorization"] == "Bearer sk-1"
    assert first.body["messages"] == [{"role": "user", "content": "about doc-12 and doc-13"}]
    assert before <= first.received_at <= second.received_at <= time.monotonic()
    assert (first.status, first.in_flight) == (200, 1)
    assert (second.path, second.status, second.document) == ("/v1/other?x=1", 404, None)
    assert second.body == "\ufffd no json"


def test_reset_forgets_everything_and_drops_who_waits(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.hang())
    scripted_server.expect_key("sk-1")
    with dial(scripted_server) as raw:
        raw.sendall(raw_request("doc-1", "Authorization: Bearer sk-1\r\n"))
        scripted_server.wait_for(in_flight=1)
        scripted_server.reset()
        assert read_to_end(raw) == b""
    with closing(http.client.HTTPConnection("127.0.0.1", scripted_server.port, timeout=10)) as connection:
        assert ask(connection, "doc-1")[0].status == 200
    stats = scripted_server.stats()
    assert (stats.requests, stats.max_in_flight, stats.in_flight, stats.connections) == (1, 1, 0, 1)


def test_waiting_in_vain_says_what_was_there(scripted_server: ScriptedServer) -> None:
    with pytest.raises(TimeoutError, match=r"requests=0, answered=0"):
        scripted_server.wait_for(requests=1, timeout_s=0.05)


def test_waiting_ends_when_the_last_one_is_answered(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    seen: list[int] = []
    waiting = threading.Thread(target=lambda: seen.append(scripted_server.wait_for(answered=3).answered))
    waiting.start()
    for _ in range(3):
        ask(connection, "hello")
    waiting.join(10)
    assert seen == [3]


def test_two_thousand_waiting_requests_are_in_flight_together(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.hang())
    with open_files(4096), ExitStack() as stack:
        callers = [stack.enter_context(dial(scripted_server)) for _ in range(2000)]
        for number, caller in enumerate(callers):
            caller.sendall(raw_request(f"doc-{number}", "Connection: close\r\n"))
        assert scripted_server.wait_for(in_flight=2000).max_in_flight == 2000
        assert scripted_server.release() == 2000
        assert all(f'"echo: doc-{n}"'.encode() in read_to_end(caller) for n, caller in enumerate(callers))
    with urlopen(f"{scripted_server.base_url}/models", timeout=10) as response:
        assert response.status == 200
    stats = scripted_server.stats()
    assert (stats.answered, stats.in_flight, stats.connections) == (2001, 0, 2001)
    assert stats.max_in_flight == 2000


def test_the_server_raises_its_own_limit_of_open_files() -> None:
    with ExitStack() as stack:
        with open_files(256):
            server = stack.enter_context(start_server())
        with open_files(4096):
            callers = [stack.enter_context(dial(server)) for _ in range(300)]
            callers[-1].sendall(raw_request("doc-1", "Connection: close\r\n"))
            assert b"echo: doc-1" in read_to_end(callers[-1])


def test_a_caller_who_leaves_before_the_answer_is_no_fault(capfd: pytest.CaptureFixture[str]) -> None:
    with start_server() as server:
        server.script({"doc-1": steps.ok(delay_s=0.05), "doc-2": steps.ok(delay_s=0.1)})
        with dial(server) as raw:
            raw.sendall(raw_request("doc-1"))
            server.wait_for(requests=1)
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
            ask(connection, "doc-2")
        assert [received.status for received in server.log()] == [None, 200]
    assert capfd.readouterr().err == ""


def test_the_second_server_is_another(
    scripted_server: ScriptedServer, second_scripted_server: ScriptedServer
) -> None:
    with urlopen(f"{second_scripted_server.base_url}/models", timeout=10) as response:
        assert response.status == 200
    assert (scripted_server.stats().requests, second_scripted_server.stats().requests) == (0, 1)


def test_nothing_listens_on_a_free_port_until_a_server_starts_there() -> None:
    port = free_port()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
    with start_server(port) as server:
        assert server.url == f"http://127.0.0.1:{port}"
        assert server.stats().requests == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


def test_a_taken_port_is_refused(scripted_server: ScriptedServer) -> None:
    with (
        pytest.raises(RuntimeError, match=f"did not start on port {scripted_server.port}"),
        start_server(scripted_server.port),
    ):
        pass


def test_the_server_ends_when_its_parent_is_killed() -> None:
    parent = (
        "from tests.scripted_server.client import start_server\n"
        "with start_server() as server:\n"
        "    print(server.port, flush=True)\n"
        "    input()\n"
    )
    command = [sys.executable, "-S", "-c", parent]
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            process.send_signal(signal.SIGKILL)
            assert read_to_end(raw) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=10)
