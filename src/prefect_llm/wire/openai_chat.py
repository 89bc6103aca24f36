"""OpenAI-compatible chat completions: `POST {base_url}/chat/completions`.

https://platform.openai.com/docs/api-reference/chat. Only the fields used are decoded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import msgspec
import orjson

from prefect_llm.values.errors import BadResponse, Rejected
from prefect_llm.values.outcome import Completion, ErrorKind
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Parameters, Request
from prefect_llm.wire import server_sent_events
from prefect_llm.wire.error_bodies import one_line, raise_refusal
from prefect_llm.wire.http import Answer
from prefect_llm.wire.openai_shapes import Chat, Choice, Message, text_of
from prefect_llm.wire.usage import usage_in, usage_of

PATH = "/chat/completions"


_decode_chat = msgspec.json.Decoder(Chat).decode


def encode(request: Request, *, limit_name: str, streamed: bool = False) -> bytes:
    """The request's body. `limit_name` is what this endpoint calls the output limit."""
    head = _encoded_parameters(request.parameters, limit_name, streamed)
    return b'%b,"messages":%b}' % (head, orjson.dumps(request.messages))


def encoder(provider: Provider) -> Callable[[Request], bytes]:
    """Makes the bodies of every request to that provider."""
    streamed = provider.patience.idle_timeout_s is not None
    return partial(encode, limit_name=output_limit_name(provider), streamed=streamed)


@lru_cache(maxsize=256)
def _encoded_parameters(parameters: Parameters, limit_name: str, streamed: bool) -> bytes:
    """Everything but the messages, encoded once for all requests that share it, without the last brace."""
    body: dict[str, Any] = {"model": parameters.model}
    if parameters.max_output_tokens is not None:
        body[limit_name] = parameters.max_output_tokens
    if parameters.temperature is not None:
        body["temperature"] = parameters.temperature
    if (answer_format := parameters.answer_format) is not None:
        schema = {"name": answer_format.name, "strict": True, "schema": answer_format.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if streamed:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return orjson.dumps(body | dict(parameters.extra))[:-1]


def output_limit_name(provider: Provider) -> str:
    """OpenAI's own models take `max_completion_tokens` only; everyone else knows `max_tokens`."""
    return "max_completion_tokens" if provider.name == "api.openai.com" else "max_tokens"


def decode(answer: Answer, request: Request, *, keep_raw: bool) -> Completion:
    """The completion in an answer.

    Raises the `RequestError` that the status or the body stands for; a `BadResponse` or `Rejected` carries
    the completion that came with it, for it was billed.
    """
    if not 200 <= answer.status < 300:
        raise_refusal(answer)
    chat = _chat(answer)
    choice = chat.choices[0] if chat.choices else Choice(Message())
    content = choice.message.content
    completion = Completion(
        content=text_of(content),
        finish_reason=choice.finish_reason,
        model=chat.model,
        usage=usage_of(chat.usage),
        raw=answer.body if keep_raw else None,
    )
    if content is not None and completion.content is None:
        message = f"message content is neither text nor parts but {type(content).__name__}"
        raise BadResponse(message, status=answer.status, completion=completion)
    if not chat.choices:
        message = f"answer without choices: {one_line(answer.body)}"
        raise BadResponse(message, status=answer.status, completion=completion)
    return _checked(completion, choice.message.refusal, request)


def _chat(answer: Answer) -> Chat:
    try:
        if server_sent_events.is_stream(answer.headers):
            return server_sent_events.joined(answer)
        chat = _decode_chat(answer.body)
    except msgspec.ValidationError as error:
        raise BadResponse(f"answer is not a chat completion: {error}", status=answer.status) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadResponse(f"answer is not JSON: {one_line(answer.body)}", status=answer.status) from error
    if chat.usage is None and chat.x_groq is not None:
        chat.usage = usage_in(chat.x_groq)
    return chat


def _checked(completion: Completion, refusal: str | None, request: Request) -> Completion:
    answer_format = request.parameters.answer_format
    if completion.finish_reason == "content_filter":
        raise Rejected(
            "the endpoint's content filter stopped the answer",
            kind=ErrorKind.CONTENT_FILTERED,
            status=200,
            completion=completion,
        )
    if refusal:
        message = one_line(f"the model refused: {refusal}")
        raise Rejected(message, kind=ErrorKind.REFUSED, status=200, completion=completion)
    if completion.finish_reason == "length" and (answer_format is not None or request.parameters.fail_truncated):
        message = "the output limit cut the answer" + (" before its JSON ended" if answer_format is not None else "")
        raise BadResponse(message, kind=ErrorKind.TRUNCATED, status=200, completion=completion)
    if completion.content is None:
        raise BadResponse("answer with null content", status=200, completion=completion)
    if answer_format is None:
        return completion
    try:
        output = answer_format.parse(completion.content)
    except BadResponse as error:
        error.status, error.completion = 200, completion
        raise
    return dataclasses.replace(completion, output=output)
