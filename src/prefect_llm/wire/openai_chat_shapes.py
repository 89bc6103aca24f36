"""The parts of a chat completion that are read, whether it came whole or as a stream of events.

The garbage collector does not track them: they hold no cycles, and one is made for every answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

ERROR = "error"
"""How an answer says that it is an error: by its `object` (vLLM), its `type` (Anthropic) or an event's name."""

_THOUGHTS = frozenset({"thinking", "reasoning", "redacted_thinking", "reasoning_content"})
"""Types of content parts that are no text of the answer: Mistral's and Anthropic's, OpenAI's, ..."""


class Message(msgspec.Struct, gc=False):
    """A message, or what one event adds to it. Content is text, parts of it, or null."""

    content: Any = None
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    tool_calls: Any = None
    function_call: Any = None


class Choice(msgspec.Struct, gc=False):
    """Of several, the first counts."""

    message: Message | None = None
    finish_reason: str | None = None
    error: Any = None


class Chat(msgspec.Struct, gc=False):
    """One answer, or the error that came in its place, in whatever form."""

    choices: list[Choice] | None = None
    model: str | None = None
    usage: Any = None
    x_groq: Any = None
    error: Any = None
    object: Any = None
    type: Any = None
    code: Any = None
    status: Any = None
    status_code: Any = None
    service_tier: Any = None


def text_of(content: Any) -> str | None:
    """Text as it is, or its parts joined, without thoughts; `None` for what is neither."""
    if isinstance(content, list):
        parts = (part for part in content if isinstance(part, dict) and part.get("type") not in _THOUGHTS)
        return "".join(text for part in parts if isinstance(text := part.get("text"), str))
    return content if isinstance(content, str) else None


def reasoning_of(message: Message) -> str | None:
    """What the model thought, of whatever place the endpoint gives it; `None` if there is none.

    vLLM, DeepSeek and others call it `reasoning_content`, OpenRouter and newer vLLM `reasoning`, some only in
    `reasoning_details`; Mistral's models put it among the parts of the content.
    """
    if message.reasoning_content or message.reasoning or message.reasoning_details:
        for told in (message.reasoning_content, message.reasoning, message.reasoning_details):
            if thoughts := "".join(_texts_in(told)):
                return thoughts
    if not isinstance(message.content, list):
        return None  # nearly always: this is asked of every event of a stream
    parts = message.content
    thoughts = "".join(
        text for part in parts if isinstance(part, dict) and part.get("type") in _THOUGHTS for text in _texts_in(part)
    )
    return thoughts or None


def says_something(error: Any) -> bool:
    """Whether an `error` member is one: some endpoints always send it, empty."""
    return any(error.values()) if isinstance(error, dict) else bool(error)


def _texts_in(told: Any) -> Iterator[str]:
    if isinstance(told, str):
        yield told
    elif isinstance(told, list):
        for part in told:
            yield from _texts_in(part)
    elif isinstance(told, dict):
        for name in ("thinking", "text", "summary", "content"):
            if name in told:
                yield from _texts_in(told[name])
                return
