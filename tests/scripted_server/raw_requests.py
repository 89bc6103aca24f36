"""Asking the scripted server without any client of ours: raw sockets and `http.client`."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any

from tests.scripted_server.client import ScriptedServer


def ask(
    connection: http.client.HTTPConnection, prompt: str, *, key: str | None = None, **more: Any
) -> tuple[http.client.HTTPResponse, Any]:
    """One chat completion; the body is the parsed JSON, or the text where it is none."""
    return post(connection, chat_body(prompt, **more), key=key)


def post(
    connection: http.client.HTTPConnection,
    body: Any,
    *,
    path: str = "/v1/chat/completions",
    key: str | None = None,
) -> tuple[http.client.HTTPResponse, Any]:
    sent = body if isinstance(body, str | bytes) else json.dumps(body)
    connection.request("POST", path, sent, {"Authorization": f"Bearer {key}"} if key else {})
    return read_response(connection)


def get(connection: http.client.HTTPConnection, path: str) -> tuple[http.client.HTTPResponse, Any]:
    connection.request("GET", path)
    return read_response(connection)


def read_response(connection: http.client.HTTPConnection) -> tuple[http.client.HTTPResponse, Any]:
    response = connection.getresponse()
    text = response.read().decode()
    try:
        return response, json.loads(text)
    except json.JSONDecodeError:
        return response, text


def seconds_to_ask(connection: http.client.HTTPConnection, prompt: str) -> float:
    started = time.monotonic()
    ask(connection, prompt)
    return time.monotonic() - started


def chat_body(prompt: str, *, model: str = "m", system: str | None = None, **more: Any) -> str:
    first = [{"role": "system", "content": system}] if system else []
    return json.dumps({"model": model, "messages": [*first, {"role": "user", "content": prompt}], **more})


def raw_request(prompt: str, headers: str = "") -> bytes:
    body = chat_body(prompt)
    lines = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return (lines + body).encode()


def dial(server: ScriptedServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def read_to_end(raw: socket.socket) -> bytes:
    return b"".join(iter(lambda: raw.recv(65536), b""))


def read_answer(reader: Any) -> Any:
    length = 0
    while (line := reader.readline()) != b"\r\n":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return json.loads(reader.read(length))
