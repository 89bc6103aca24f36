"""The parts of a chat completion that are read, whether it came whole or as a stream of events.

Only what the answer hangs on has a type: an odd `model` or `finish_reason` is no reason to pay for an answer again.
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
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    tool_calls: Any = None
    function_call: Any = None


class Choice(msgspec.Struct, gc=False):
    """Of several, the first counts."""

    message: Message | None = None
    finish_reason: Any = None
    error: Any = None


class Chat(msgspec.Struct, gc=False):
    """One answer, or the error that came in its place, in whatever form."""

    choices: list[Choice] | None = None
    model: Any = None
    usage: Any = None
    x_groq: Any = None
    error: Any = None
    object: Any = None
    type: Any = None
    code: Any = None
    status: Any = None
    status_code: Any = None
    base_resp: Any = None
    service_tier: Any = None


def text_of(content: Any) -> str | None:
    """Text as it is, or its parts joined; `None` for what is neither, and for thoughts alone."""
    if isinstance(content, list):
        parts = [part for part in content if not _is_thought(part)]
        if content and not parts:
            return None
        return "".join(_members(parts, "text"))
    return content if isinstance(content, str) else None


def refusal_of(message: Message) -> str | None:
    """What the model said if it declined, in a member of its own or as a part of the content."""
    if isinstance(message.content, list):
        return "".join(_members(message.content, "refusal")) or string_or_none(message.refusal)
    return string_or_none(message.refusal)


def string_or_none(value: Any) -> str | None:
    """What is no text is nothing."""
    return value if isinstance(value, str) else None


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
    return "".join(text for part in message.content if _is_thought(part) for text in _texts_in(part)) or None


def says_something(error: Any) -> bool:
    """Whether an `error` member is one: some endpoints always send it, empty."""
    return any(error.values()) if isinstance(error, dict) else bool(error)


def _is_thought(part: Any) -> bool:
    return isinstance(part, dict) and string_or_none(part.get("type")) in _THOUGHTS


def _members(parts: list[Any], name: str) -> Iterator[str]:
    return (part[name] for part in parts if isinstance(part, dict) and isinstance(part.get(name), str))


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
