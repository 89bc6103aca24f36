"""What the scripted server says: bodies as OpenAI spells them, from a request and a step, without IO."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from tests.scripted_server.steps import Step, http_date_in, tokens

COMPLETION_TOKENS = 7
DOCUMENT = re.compile(r"doc-\d+")


def document_of(texts: Iterable[str]) -> str | None:
    """The first `doc-<digits>` in the messages' texts."""
    found = (DOCUMENT.search(text) for text in texts)
    return next((match[0] for match in found if match), None)


def message_texts(request: Mapping[str, Any]) -> list[str]:
    """The text of each message: its content, or its text parts joined."""
    return [_text(message.get("content")) for message in request["messages"]]


def completion(request: Mapping[str, Any], step: Step, json_content: Any, number: int) -> dict[str, Any]:
    """A `chat.completion` object. Default usage: one prompt token per character, 7 completion tokens."""
    texts = message_texts(request)
    answer: dict[str, Any] = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": step.model or request["model"],
        "choices": step.choices,
        "usage": step.usage,
    }
    if step.choices is None:
        answer["choices"] = [_choice(request, step, json_content)]
    if step.usage is None:
        answer["usage"] = tokens(sum(map(len, texts)), COMPLETION_TOKENS)
    elif not step.usage:
        del answer["usage"]
    return answer


def models(names: Iterable[str]) -> dict[str, Any]:
    """The answer of `GET /v1/models`."""
    rows = [{"id": name, "object": "model", "created": 0, "owned_by": "scripted"} for name in names]
    return {"object": "list", "data": rows}


def head(step: Step, body: bytes, number: int, more: Mapping[str, str]) -> bytes:
    """Status line and headers; the step's own headers win over the usual ones, `more` over both."""
    headers = {
        "content-type": "text/html; charset=utf-8" if body.startswith(b"<") else "application/json",
        "content-length": str(len(body)),
        "x-request-id": f"req-{number}",
    }
    if step.retry_after_date_s is not None:
        headers["retry-after"] = http_date_in(step.retry_after_date_s)
    headers.update({name.lower(): value for name, value in step.headers.items()})
    headers.update(more)
    if "transfer-encoding" in headers:
        del headers["content-length"]
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {step.status} {_reason(step.status)}\r\n{lines}\r\n".encode("latin-1")


def _choice(request: Mapping[str, Any], step: Step, json_content: Any) -> dict[str, Any]:
    content = step.content
    if content is None and step.refusal is None:
        content = _default_content(request, json_content)
    message = {"role": "assistant", "content": content, "refusal": step.refusal}
    return {"index": 0, "message": message, "logprobs": None, "finish_reason": step.finish_reason}


def _default_content(request: Mapping[str, Any], json_content: Any) -> str:
    answer_format = request.get("response_format") or {}
    if "json_schema" in answer_format:
        return json.dumps(json_content, separators=(",", ":"), ensure_ascii=False)
    asked = [message for message in request["messages"] if message.get("role") == "user"]
    return "echo: " + (_text(asked[-1].get("content")) if asked else "")


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or ())


def _reason(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "Scripted"
