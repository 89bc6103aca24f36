"""Streamed chat completions, as endpoints spell them."""

from __future__ import annotations

import json
from typing import Any

STREAM = {"content-type": "text/event-stream; charset=utf-8"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 2}


def event(content: str | None = None, *, finish: str | None = None, **more: Any) -> str:
    """One chunk of a streamed completion."""
    delta = {} if content is None else {"content": content}
    chunk = {"model": "m-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
    return f"data: {json.dumps(chunk)}\n\n"


USED = f"data: {json.dumps({'choices': [], 'usage': USAGE})}\n\n"
DONE = "data: [DONE]\n\n"
WHOLE = event("") + event("Hel") + event("lo") + event(finish="stop") + USED + DONE
