"""What a chat request asks for, read from its body: only what an answer depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

CHARACTERS_PER_TOKEN = 4
"""The usual rule of thumb for English, https://platform.openai.com/tokenizer."""


class BadRequest(Exception):
    """The body cannot be answered: OpenAI's message and the parameter it blames."""

    def __init__(self, message: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.parameter = parameter


@dataclass(frozen=True, slots=True)
class Asked:
    """One chat request. `schema` is a JSON schema the answer must fit; `{}` fits any JSON."""

    model: str
    input_tokens: int
    output_limit: int | None = None
    stream: bool = False
    include_usage: bool = False
    schema: Any = None


def read_asked(body: bytes) -> Asked:
    """Raises `BadRequest`."""
    try:
        parsed: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"We could not parse the JSON body of your request: {error}") from error
    if not isinstance(parsed, dict):
        raise BadRequest("We could not parse the JSON body of your request: it is not an object")
    model, messages = parsed.get("model"), parsed.get("messages")
    if not isinstance(model, str) or not model:
        raise BadRequest("you must provide a model parameter", "model")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("Invalid 'messages': expected an array with at least one message.", "messages")
    characters = sum(map(_characters, messages))
    options = parsed.get("stream_options")
    return Asked(
        model=model,
        input_tokens=-(-characters // CHARACTERS_PER_TOKEN),
        output_limit=_output_limit(parsed),
        stream=parsed.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        schema=_schema(parsed["response_format"]) if parsed.get("response_format") else None,
    )


def _characters(message: Any) -> int:
    if not isinstance(message, dict):
        raise BadRequest("Invalid 'messages': every message must be an object.", "messages")
    content = message.get("content")
    if isinstance(content, str):
        return len(content)
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, dict))
        return sum(len(text) for text in texts if isinstance(text, str))
    return 0


def _output_limit(parsed: dict[str, Any]) -> int | None:
    limits = []
    for name in ("max_completion_tokens", "max_tokens"):
        limit = parsed.get(name)
        if limit is None:
            continue
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise BadRequest(f"Invalid '{name}': expected a whole number of at least 1.", name)
        limits.append(limit)
    return min(limits, default=None)


def _schema(response_format: Any) -> Any:
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    named = response_format.get("json_schema") if kind == "json_schema" else None
    schema = named.get("schema") if isinstance(named, dict) else None
    if not isinstance(schema, (dict, bool)):
        raise BadRequest("Invalid 'response_format': expected text, json_object or a json_schema.", "response_format")
    return schema
