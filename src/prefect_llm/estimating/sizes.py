"""How many tokens a request's text may make, by a rule with a stated range: no tokenizer, no download.

Tokenizers of most models are not to be had offline, and those that are know only some models. The range is that of
o200k_base and cl100k_base over prose in English, German, Russian, Hindi, Chinese and Japanese, code, JSON and tables
of numbers: 1.8 (numbers, hexadecimal) to 9.6 bytes a token, 1 to 5.4 characters a token, about 4 bytes in English.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from prefect_llm.pricing import json_bytes, schema_bytes
from prefect_llm.values.request import BYTES_PER_TOKEN, Message, Parameters, Request

LEAST_BYTES_PER_TOKEN = 1.7
MOST_CHARACTERS_PER_TOKEN = 6.0
MESSAGE_TOKENS = 4
"""What a chat template puts around a message, https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken."""
MOST_MESSAGE_TOKENS = 16


@dataclass(frozen=True, slots=True)
class InputSize:
    """Of one request: bytes of its text, and the input tokens they make. `other` says that it has more than text."""

    bytes: int
    least: int
    expected: int
    most: int
    other: bool = False


def input_size(request: Request) -> InputSize:
    """The size of everything in it that the model reads; parts other than text are not counted."""
    texts, other = [], False
    for message in request.messages:
        texts += _texts(message)
        other = other or _has_other_parts(message)

    extra = request.parameters.derived(_parameter_bytes)
    bytes_, characters = _lengths(texts)
    messages = len(request.messages)
    return InputSize(
        bytes=bytes_,
        least=math.ceil(characters / MOST_CHARACTERS_PER_TOKEN),
        expected=math.ceil((bytes_ + extra) / BYTES_PER_TOKEN) + MESSAGE_TOKENS * messages,
        most=math.ceil((bytes_ + extra) / LEAST_BYTES_PER_TOKEN) + MOST_MESSAGE_TOKENS * messages,
        other=other,
    )


def _texts(message: Message) -> list[str]:
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    parts = content if isinstance(content, list) else []
    return [str(part["text"]) for part in parts if isinstance(part, dict) and part.get("type") == "text"]


def _has_other_parts(message: Message) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(
        isinstance(part, dict) and part.get("type") != "text" for part in content
    )


def _lengths(texts: Iterable[str]) -> tuple[int, int]:
    bytes_ = characters = 0
    for text in texts:
        characters += len(text)
        bytes_ += len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return bytes_, characters


def _parameter_bytes(parameters: Parameters) -> int:
    """The schema and the tools: the model reads them too."""
    return schema_bytes(parameters) + json_bytes(parameters.extra.get("tools"))
