"""How an answer travels, and how connections end."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import time

import pytest
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.scripted_server.raw_requests import (
    ask,
    chat_body,
    dial,
    raw_request,
    read_answer,
    read_to_end,
    seconds_to_ask,
)

CLOCK_STEP_S = 0.005


def test_keep_alive_serves_many_requests_on_one_connection(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    for _ in range(20):
        ask(connection, "hello")
    assert scripted_server.stats().requests == 20
    assert scripted_server.stats().connections == 1


def test_a_request_in_pieces_and_two_at_once_are_understood(scripted_server: ScriptedServer) -> None:
    with dial(scripted_server) as raw:
        whole = raw_request("doc-1") + raw_request("doc-2")
        for at in range(0, len(whole), 50):
            raw.sendall(whole[at : at + 50])
        reader = raw.makefile("rb")
        contents = [read_answer(reader)["choices"][0]["message"]["content"] for _ in range(2)]
    assert contents == ["echo: doc-1", "echo: doc-2"]


def test_a_request_behind_a_delayed_one_waits_its_turn(scripted_server: ScriptedServer) -> None:
    scripted_server.script({"doc-1": steps.ok(delay_s=0.05)})
    with dial(scripted_server) as raw:
        raw.sendall(raw_request("doc-1") + raw_request("doc-2"))
        reader = raw.makefile("rb")
        contents = [read_answer(reader)["choices"][0]["message"]["content"] for _ in range(2)]
    assert contents == ["echo: doc-1", "echo: doc-2"]
    assert scripted_server.stats().max_in_flight == 1


def test_connection_close_is_honoured(scripted_server: ScriptedServer) -> None:
    with dial(scripted_server) as raw:
        raw.sendall(raw_request("doc-1", "Connection: close\r\n"))
        assert b'"echo: doc-1"' in read_to_end(raw)


def test_close_before_answer_ends_without_a_byte(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.close_before_answer())
    with dial(scripted_server) as raw:
        raw.sendall(raw_request("doc-1"))
        assert read_to_end(raw) == b""
    assert [received.status for received in scripted_server.log()] == [None]
    assert scripted_server.stats().answered == 0


def test_a_reset_reaches_the_client_as_a_connection_that_was_reset(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.reset())
    with dial(scripted_server) as raw:
        raw.sendall(raw_request("doc-1"))
        with pytest.raises(ConnectionResetError):
            raw.recv(1)


def test_close_mid_body_sends_half_of_what_it_declares(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    scripted_server.script_all(steps.close_mid_body(steps.ok("x" * 1000)))
    connection.request("POST", "/v1/chat/completions", chat_body("doc-1"))
    response = connection.getresponse()
    declared = int(response.headers["content-length"])
    with pytest.raises(http.client.IncompleteRead) as cut:
        response.read()
    assert len(cut.value.partial) == declared // 2


def test_a_hanging_request_is_answered_on_release(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    scripted_server.script_all(steps.hang(steps.ok("at last")))
    connection.request("POST", "/v1/chat/completions", chat_body("doc-1"))
    stats = scripted_server.wait_for(requests=1, in_flight=1)
    assert (stats.in_flight, stats.answered) == (1, 0)
    connection.sock.settimeout(0.05)
    with pytest.raises(TimeoutError):
        connection.sock.recv(1)
    connection.sock.settimeout(10)
    assert scripted_server.release() == 1
    assert json.loads(connection.getresponse().read())["choices"][0]["message"]["content"] == "at last"
    assert scripted_server.stats().in_flight == 0
    assert scripted_server.release() == 0


def test_a_hanging_request_ends_with_its_connection(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    scripted_server.script({"doc-1": steps.hang()})
    with dial(scripted_server) as raw:
        raw.sendall(raw_request("doc-1"))
        scripted_server.wait_for(in_flight=1)
        raw.shutdown(socket.SHUT_WR)
        assert read_to_end(raw) == b""
    ask(connection, "doc-2")
    assert scripted_server.log()[-1].in_flight == 1
    assert scripted_server.release() == 0


def test_a_chunked_answer_declares_no_length_and_arrives_whole(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    scripted_server.script_all(steps.chunked(steps.ok("héllo"), piece_bytes=5))
    response, answer = ask(connection, "doc-1")
    assert response.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in response.headers
    assert answer["choices"][0]["message"]["content"] == "héllo"
    assert ask(connection, "doc-1")[0].status == 200


def test_gzip_only_for_those_who_accept_it(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    scripted_server.script_all(steps.gzip(steps.status(500, "<html>zipped</html>")))
    body = chat_body("doc-1")
    connection.request("POST", "/v1/chat/completions", body, {"Accept-Encoding": "gzip, br"})
    response = connection.getresponse()
    assert (response.status, response.headers["content-encoding"]) == (500, "gzip")
    assert gzip.decompress(response.read()) == b"<html>zipped</html>"
    response, text = ask(connection, "doc-1")
    assert "content-encoding" not in response.headers
    assert text == "<html>zipped</html>"


def test_a_slow_body_begins_at_once_and_is_in_flight_to_its_end(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    slow = steps.slow_body(steps.status(200, "<" + "x" * 99), piece_bytes=20, pause_s=3600)
    scripted_server.script_all(slow)
    connection.request("POST", "/v1/chat/completions", chat_body("doc-1"))
    assert connection.getresponse().read(20) == b"<" + b"x" * 19
    assert scripted_server.stats().in_flight == 1


def test_a_slow_body_pauses_between_its_pieces(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    body = "<" + "x" * 99
    scripted_server.script_all(steps.slow_body(steps.status(200, body), piece_bytes=20, pause_s=0.05))
    started = time.monotonic()
    assert ask(connection, "doc-1")[1] == body
    assert time.monotonic() - started >= 4 * 0.05 - CLOCK_STEP_S


def test_close_idle_answers_with_keep_alive_and_closes(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.close_idle())
    with dial(scripted_server) as raw:
        raw.sendall(raw_request("doc-1"))
        head, _, body = read_to_end(raw).partition(b"\r\n\r\n")
    assert b"connection: close" not in head.lower()
    assert json.loads(body)["choices"][0]["message"]["content"] == "echo: doc-1"


def test_a_stale_connection_closes_under_the_next_request(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.stale_connection())
    with dial(scripted_server) as raw:
        raw.sendall(raw_request("doc-1"))
        read_answer(raw.makefile("rb"))
        raw.sendall(raw_request("doc-2"))
        assert read_to_end(raw) == b""
    stats = scripted_server.stats()
    assert (stats.requests, stats.stale_closed) == (1, 1)


def test_a_delay_holds_back_every_answer_but_those_with_their_own(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    scripted_server.delay(3600)
    scripted_server.script({"doc-1": [steps.ok(delay_s=0), steps.close_before_answer().after(0.2)]})
    assert ask(connection, "doc-1")[0].status == 200
    started = time.monotonic()
    with pytest.raises(http.client.RemoteDisconnected):
        ask(connection, "doc-1")
    assert time.monotonic() - started >= 0.2 - CLOCK_STEP_S
    scripted_server.delay(0.1)
    assert seconds_to_ask(connection, "doc-2") >= 0.1 - CLOCK_STEP_S
