"""OpenAI's chat completions from the endpoint's side: `POST /v1/chat/completions`.

https://platform.openai.com/docs/api-reference/chat, https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from prefect_llm.simulation.answers import Delivery, Ending, error, text_pieces
from prefect_llm.simulation.asked import CHARACTERS_PER_TOKEN, Asked, BadRequest
from prefect_llm.simulation.faults import Fault
from prefect_llm.simulation.format import Problem
from prefect_llm.simulation.http_requests import Head

PATH = "/v1/chat/completions"
_ERRORS = {
    # status, type, code
    Problem.BAD_REQUEST: (400, "invalid_request_error", None),
    Problem.BAD_REQUEST_ON_PURPOSE: (400, "invalid_request_error", "bad_request"),
    Problem.BAD_SCHEMA: (400, "invalid_request_error", None),
    Problem.WRONG_KEY: (401, "invalid_request_error", "invalid_api_key"),
    Problem.UNKNOWN_MODEL: (404, "invalid_request_error", "model_not_found"),
    Problem.REQUESTS_PER_MINUTE: (429, "requests", "rate_limit_exceeded"),
    Problem.TOKENS_PER_MINUTE: (429, "tokens", "rate_limit_exceeded"),
    Problem.SERVER_ERROR: (500, "server_error", None),
}


class OpenAIChat:
    """The format `openai-chat`."""

    models_path = "/v1/models"

    def takes(self, path: str) -> bool:
        """One path for all models."""
        return path == PATH

    def key(self, head: Head) -> str:
        """The bearer token."""
        scheme, _, key = head.field("authorization").partition(" ")
        return key if scheme == "Bearer" else ""

    def read(self, head: Head, body: bytes) -> Asked:
        """What the body asks for. Raises `BadRequest`."""
        return read_asked(body)

    def body(self, number: int, asked: Asked, ending: Ending, fault: Fault | None) -> bytes:
        """A chat completion."""
        usage = _usage(asked.input_tokens, ending.output_tokens)
        if fault is Fault.NO_CHOICES:
            return _completion_without_choices(number, asked.model, usage)
        content = b"null" if fault is Fault.NULL_CONTENT else ending.content
        return _completion(number, asked.model, content, _finish_reason(ending), usage)

    def events(self, number: int, asked: Asked, ending: Ending, fault: Fault | None) -> Iterator[bytes]:
        """Chunks of a chat completion, whose deltas add up to it."""
        frame = {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": asked.model,
        }

        first, *others = _deltas(ending, fault)
        yield _event(frame, _choices({"role": "assistant", **first}, None, fault))
        for delta in others:
            yield _event(frame, _choices(delta, None, fault))
        if fault is Fault.NOT_JSON:
            yield b"data: <html>this is not JSON\n\n"

        last = _event(frame, _choices({}, _finish_reason(ending).decode(), fault))
        if asked.include_usage:
            usage = orjson.Fragment(_usage(asked.input_tokens, ending.output_tokens))
            last += _event(frame | {"usage": usage}, [])
        yield last + b"data: [DONE]\n\n"

    def error(self, problem: Problem, message: str, parameter: str | None = None, headers: bytes = b"") -> Delivery:
        """An error as OpenAI words it."""
        status, kind, code = _ERRORS[problem]
        if problem is Problem.BAD_SCHEMA:
            message, parameter = f"Invalid schema for response_format {message}", "response_format"
        return error(status, message, kind, parameter=parameter, code=code, headers=headers)

    def models(self, names: Sequence[str]) -> bytes:
        """OpenAI's list."""
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "prefect-llm"} for name in names]
        return orjson.dumps({"object": "list", "data": models})


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
    response_format = parsed.get("response_format") or {"type": "text"}
    named = response_format.get("json_schema") if isinstance(response_format, dict) else None
    named = named if isinstance(named, dict) else {}
    options = parsed.get("stream_options")
    return Asked(
        model=model,
        input_tokens=-(-characters // CHARACTERS_PER_TOKEN),
        output_limit=_output_limit(parsed),
        stream=parsed.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        schema=_schema(response_format),
        schema_name=str(named.get("name", "")),
        strict=named.get("strict") is True,
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


def _finish_reason(ending: Ending) -> bytes:
    return b"length" if ending.cut else b"stop"


def _completion(number: int, model: str, content: bytes, finish_reason: bytes, usage: bytes) -> bytes:
    return (
        b'{"id":"chatcmpl-%d","object":"chat.completion","created":%d,%b"choices":[{"index":0,"message":'
        b'{"role":"assistant","content":%b,"refusal":null},"logprobs":null,"finish_reason":"%b"}],"usage":%b}'
    ) % (number, time.time(), _model_member(model), content, finish_reason, usage)


def _completion_without_choices(number: int, model: str, usage: bytes) -> bytes:
    return b'{"id":"chatcmpl-%d","object":"chat.completion","created":%d,%b"choices":[],"usage":%b}' % (
        number,
        time.time(),
        _model_member(model),
        usage,
    )


def _usage(input_tokens: int, output_tokens: int) -> bytes:
    return b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}' % (
        input_tokens,
        output_tokens,
        input_tokens + output_tokens,
    )


def _model_member(model: str) -> bytes:
    return b'"model":%b,' % orjson.dumps(model)


def _deltas(ending: Ending, fault: Fault | None) -> list[dict[str, Any]]:
    if fault is Fault.NULL_CONTENT:
        return [{"content": None}]
    return [{"content": piece} for piece in text_pieces(ending)]


def _choices(delta: dict[str, Any], finish_reason: str | None, fault: Fault | None) -> list[dict[str, Any]]:
    return [] if fault is Fault.NO_CHOICES else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]


def _event(frame: dict[str, Any], choices: list[dict[str, Any]]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(frame | {"choices": choices})
