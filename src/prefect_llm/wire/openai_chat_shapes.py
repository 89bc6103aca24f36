"""The parts of a chat completion that are read, whether it came whole or as a stream of events.

The garbage collector does not track them: they hold no cycles, and one is made for every answer.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Message(msgspec.Struct, gc=False):
    """Content is text, parts of it, or null."""

    content: Any = None
    refusal: str | None = None


class Choice(msgspec.Struct, gc=False):
    """Of several, the first counts."""

    message: Message
    finish_reason: str | None = None


class Chat(msgspec.Struct, gc=False):
    """One answer."""

    choices: list[Choice] | None = None
    model: str | None = None
    usage: Any = None
    x_groq: Any = None


def text_of(content: Any) -> str | None:
    """Text as it is, or its parts joined; `None` for what is neither."""
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else None
