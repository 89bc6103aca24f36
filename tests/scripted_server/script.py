"""The server's state between two resets: what to answer, and what was received.

A reset replaces the whole object, so that late answers of one test cannot count in the next.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.scripted_server.answers import document_of, message_texts
from tests.scripted_server.steps import Step, error, ok

DEFAULT_MODELS = ("scripted-model",)


@dataclass(slots=True)
class Received:
    """One request, its answer's status (None: no answer, or not yet) and how many were open with it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    document: str | None
    received_at: float
    in_flight: int
    status: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The log's entry; a body that is not JSON appears as text."""
        body = _json(self.body)
        if body is None:
            body = self.body.decode("utf-8", "replace")
        return {
            "method": self.method,
            "path": self.path,
            "document": self.document,
            "status": self.status,
            "headers": self.headers,
            "body": body,
            "received_at": self.received_at,
            "in_flight": self.in_flight,
        }


@dataclass(slots=True)
class Waiter:
    """Someone who wants to know when the figures have come this far."""

    requests: int
    answered: int
    in_flight: int
    wake: Callable[[], None]


@dataclass(slots=True, eq=False)
class State:
    """Script, log and figures; `attempts` counts per entry of the script and document."""

    documents: dict[str, list[Step]] = field(default_factory=dict)
    expected_key: str | None = None
    known_models: list[str] | None = None
    lists_models: bool = True
    delay_s: float = 0.0
    json_content: Any = field(default_factory=lambda: {"label": "positive"})
    log: list[Received] = field(default_factory=list)
    by_document: Counter[str] = field(default_factory=Counter)
    attempts: dict[str, Counter[str | None]] = field(default_factory=dict)
    in_flight: int = 0
    max_in_flight: int = 0
    answered: int = 0
    connections: int = 0
    stale_closed: int = 0
    waiters: list[Waiter] = field(default_factory=list)

    def update(self, changes: Mapping[str, Any]) -> None:
        """Replace the named parts; a document's new steps begin with its first."""
        for name, value in changes.items():
            if name == "documents":
                self._set_steps(value)
            elif name in ("expected_key", "known_models", "lists_models", "delay_s", "json_content"):
                setattr(self, name, value)
            else:
                raise ValueError(f"a script has no part {name!r}")

    def begin(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[Received, Any]:
        """Count and log a request; also its JSON body, None where it is no chat request."""
        request = _chat_request(body)
        document = document_of(message_texts(request)) if request else None
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        received = Received(method, path, headers, body, document, time.monotonic(), self.in_flight)
        self.log.append(received)
        if document is not None:
            self.by_document[document] += 1
        self.wake_waiters()
        return received, request

    def end(self, received: Received) -> None:
        """The request was answered or lost its connection."""
        self.in_flight -= 1
        self.answered += received.status is not None
        self.wake_waiters()

    def chat_step(self, received: Received, request: Any) -> Step:
        """What this chat request meets: the key and the model are checked before the script is consulted."""
        if refused := self.refusal_of_key(received):
            return refused
        if request is None:
            return error(400, "We could not parse the JSON body of your request, or it has no model or messages.")
        model = request["model"]
        if self.known_models is not None and model not in self.known_models:
            message = f"The model `{model}` does not exist or you do not have access to it."
            return error(404, message, param="model", code="model_not_found")
        return self._next_step(received.document)

    def refusal_of_key(self, received: Received) -> Step | None:
        """The 401 for a request without the expected key."""
        if self.expected_key is None or received.headers.get("authorization") == f"Bearer {self.expected_key}":
            return None
        return error(401, "Incorrect API key provided.", code="invalid_api_key")

    def stats(self) -> dict[str, Any]:
        """Figures since the reset; control requests are in none of them."""
        return {
            "requests": len(self.log),
            "answered": self.answered,
            "by_document": self.by_document,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "connections": self.connections,
            "stale_closed": self.stale_closed,
        }

    def wake_waiters(self) -> None:
        """Wake and forget those whose figures are reached."""
        if not self.waiters:
            return
        reached = [waiter for waiter in self.waiters if self._has_reached(waiter)]
        self.waiters = [waiter for waiter in self.waiters if waiter not in reached]
        for waiter in reached:
            waiter.wake()

    def _has_reached(self, waiter: Waiter) -> bool:
        figures = (len(self.log), self.answered, self.in_flight)
        wanted = (waiter.requests, waiter.answered, waiter.in_flight)
        return all(map(int.__ge__, figures, wanted))

    def _set_steps(self, documents: Mapping[str, list[dict[str, Any]]]) -> None:
        for name, steps in documents.items():
            self.documents[name] = [Step(**step) for step in steps]
            self.attempts[name] = Counter()

    def _next_step(self, document: str | None) -> Step:
        name = document if document in self.documents else "*"
        if name is None or name not in self.documents:
            return ok()
        attempt = self.attempts[name][document]
        self.attempts[name][document] += 1
        steps = self.documents[name]
        return steps[min(attempt, len(steps) - 1)]


def _chat_request(body: bytes) -> Any:
    request = _json(body)
    if not isinstance(request, dict) or not isinstance(request.get("model"), str):
        return None
    messages = request.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        return None
    return request


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
