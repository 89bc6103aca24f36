"""A small HTTP server that speaks the toy format, in a thread of the test's process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

KEY = "the key of the temple"
TOO_LONG = {"omen": "TALE_TOO_LONG", "lament": "I slept."}
STRANGER = {"omen": "STRANGER", "lament": "Who are you?"}
NO_TEMPLE = {"omen": "NO_TEMPLE", "lament": "Ruins."}


@dataclass
class ToyServer:
    """Where it listens, and the path, the headers and the body of every question."""

    base_url: str
    asked: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)

    def answer(self, path: str, headers: dict[str, str], question: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """One oracle is at home; a tale is too long for it, and a cut answer ends at noon."""
        self.asked.append((path, headers, question))
        if path != "/delphi/oracles/pythia":
            return 404, NO_TEMPLE
        if headers["x-oracle-key"] != KEY:
            return 400, STRANGER
        if "tale" in question["question"]:
            return 400, TOO_LONG
        end = "noon" if "cut" in question["question"] else "dusk"
        return 200, {"says": "Yes: " + question["question"], "heard": 100, "spoken": 7, "end": end}


@contextmanager
def toy_server() -> Iterator[ToyServer]:
    """The server, on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            question = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._write(*toy.answer(self.path, headers, question))

        def do_GET(self) -> None:
            found = self.path == "/delphi/oracles"
            self._write(200, {"oracles": ["pythia", "sibyl"]}) if found else self._write(404, NO_TEMPLE)

        def _write(self, status: int, answer: dict[str, Any]) -> None:
            body = orjson.dumps(answer)
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        toy = ToyServer(f"http://127.0.0.1:{server.server_address[1]}/delphi")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield toy
        finally:
            server.shutdown()
            thread.join()
