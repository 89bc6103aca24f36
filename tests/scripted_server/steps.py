"""What one attempt at a document meets: an answer and the way it travels.

A `Step` is plain JSON, so that tests and the server process share this one definition. Answers and ways are
apart: `gzip(status(500))` and `slow_body(ok("yes"))` both mean what they say.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from email.utils import formatdate
from typing import Any, Literal

Delivery = Literal[
    "whole", "chunked", "gzip", "slow", "cut", "close", "reset", "hang", "close_idle", "stale_connection"
]


@dataclass(frozen=True, slots=True)
class Step:
    """One answer. `None` means the default: the script's delay, the echoed content, the request's model.

    `body` replaces the whole completion, `choices` only its choices; an empty `usage` leaves usage out.
    """

    delivery: Delivery = "whole"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float | None = None
    body: str | None = None
    content: str | None = None
    refusal: str | None = None
    finish_reason: str = "stop"
    model: str | None = None
    usage: Mapping[str, Any] | None = None
    choices: Sequence[Mapping[str, Any]] | None = None
    retry_after_date_s: float | None = None
    piece_bytes: int = 16
    pause_s: float = 0.01

    def after(self, seconds: float) -> Step:
        """The same, `seconds` after the request came in."""
        return replace(self, delay_s=seconds)

    def to_json(self) -> dict[str, Any]:
        """All fields, as `Step(**...)` takes them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def ok(
    content: str | None = None,
    *,
    usage: Mapping[str, Any] | None = None,
    finish_reason: str = "stop",
    delay_s: float | None = None,
    model: str | None = None,
    refusal: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Step:
    """A completion; `refusal` makes the content null unless both are given."""
    return Step(
        content=content,
        usage=usage,
        finish_reason=finish_reason,
        delay_s=delay_s,
        model=model,
        refusal=refusal,
        headers=headers or {},
    )


def tokens(
    prompt: int, completion: int, *, cached: int = 0, written: int | None = None, reasoning: int = 0
) -> dict[str, Any]:
    """A `usage` object; what was read from a cache or written to one is inside prompt, reasoning inside completion.

    Without `written` the endpoint does not tell what it has written to a cache.
    """
    of_prompt = {"cached_tokens": cached} | ({} if written is None else {"cache_write_tokens": written})
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": of_prompt,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def status(
    code: int,
    body: str | Mapping[str, Any] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    delay_s: float | None = None,
    retry_after_date_s: float | None = None,
) -> Step:
    """Any status. Without a body: an OpenAI-like error; a text that starts with `<` is sent as HTML.

    `retry_after_date_s` sends Retry-After as an HTTP date, counted from the moment of the answer.
    """
    if body is None:
        body = error_body(f"Scripted answer {code}.")
    return Step(
        status=code,
        body=body if isinstance(body, str) else json.dumps(body),
        headers=headers or {},
        delay_s=delay_s,
        retry_after_date_s=retry_after_date_s,
    )


def error(
    status_code: int,
    message: str,
    *,
    type: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Step:
    """An error as OpenAI spells it."""
    return status(status_code, error_body(message, type=type, param=param, code=code), headers=headers)


def error_body(
    message: str, *, type: str = "server_error", param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """The JSON object of an error answer."""
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def not_json() -> Step:
    """A 200 whose JSON breaks off."""
    return status(200, '{"id": "chatcmpl-1", "choices": [{"message": ')


def empty_choices() -> Step:
    """A completion with usage and no choice."""
    return Step(choices=())


def null_content(*, finish_reason: str = "stop") -> Step:
    """A completion whose only message is null, without a refusal."""
    message = {"role": "assistant", "content": None}
    return Step(choices=({"index": 0, "message": message, "finish_reason": finish_reason},))


def huge_body(size: int) -> Step:
    """A sound completion whose content is `size` bytes of `x`."""
    return ok("x" * size)


def chunked(answer: Step | None = None, *, piece_bytes: int = 16) -> Step:
    """The answer with Transfer-Encoding chunked."""
    return replace(answer or ok(), delivery="chunked", piece_bytes=piece_bytes)


def gzip(answer: Step | None = None) -> Step:
    """The answer with Content-Encoding gzip, if the request accepts it."""
    return replace(answer or ok(), delivery="gzip")


def slow_body(answer: Step | None = None, *, piece_bytes: int = 16, pause_s: float = 0.01) -> Step:
    """The answer in pieces, with a pause between them."""
    return replace(answer or ok(), delivery="slow", piece_bytes=piece_bytes, pause_s=pause_s)


def close_mid_body(answer: Step | None = None) -> Step:
    """Declares the whole length, sends half of it, closes."""
    return replace(answer or ok(), delivery="cut")


def close_before_answer() -> Step:
    """Closes the connection (FIN) without a byte."""
    return Step(delivery="close")


def reset() -> Step:
    """Resets the connection (RST) without a byte."""
    return Step(delivery="reset")


def hang(answer: Step | None = None) -> Step:
    """No answer until `release()`, or until the connection goes away."""
    return replace(answer or ok(), delivery="hang")


def close_idle(answer: Step | None = None) -> Step:
    """Answers with keep-alive and closes the idle connection at once: a race for the next request on it."""
    return replace(answer or ok(), delivery="close_idle")


def stale_connection(answer: Step | None = None) -> Step:
    """Answers, and closes under the next request on this connection: `close_idle`, the race always lost."""
    return replace(answer or ok(), delivery="stale_connection")


def http_date_in(seconds: float) -> str:
    """The HTTP date at least `seconds` and less than `seconds + 1` from now."""
    return formatdate(math.ceil(time.time() + seconds), usegmt=True)
