"""OpenAI-compatible chat completions: `POST {base_url}/chat/completions`.

https://platform.openai.com/docs/api-reference/chat. Only the fields used are decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import orjson

from prefect_llm.values.errors import BadResponse
from prefect_llm.values.outcome import Completion
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Parameters, Request
from prefect_llm.wire import openai_api, openai_chat_stream
from prefect_llm.wire.completions import Stop, checked
from prefect_llm.wire.error_bodies import one_line, raise_refusal
from prefect_llm.wire.http import Answer
from prefect_llm.wire.openai_chat_shapes import Chat, Choice, Message, text_of
from prefect_llm.wire.openai_error_words import ERROR_WORDS
from prefect_llm.wire.server_sent_events import is_stream
from prefect_llm.wire.usage import usage_in, usage_of

STOPS = {"length": Stop.CUT, "content_filter": Stop.FILTERED}
"""Any other `finish_reason` means that the model ended the answer itself."""

_decode_chat = msgspec.json.Decoder(Chat).decode


class OpenAIChat:
    """The format `openai-chat`."""

    operation = "chat"
    service = "chat completions"
    base_path = "/v1"
    answer_format_parameter = "response_format"
    rate_headers = openai_api.RATE_HEADERS

    def url(self, provider: Provider, request: Request) -> str:
        """One for all requests."""
        return provider.base_url.rstrip("/") + "/chat/completions"

    def headers(self, provider: Provider) -> dict[str, str]:
        """The key as a bearer token."""
        return openai_api.bearer(provider)

    def encoder(self, provider: Provider) -> Callable[[Request], bytes]:
        """The function that makes the bodies of all requests to that provider."""
        streamed = provider.timeouts.idle_s is not None
        return partial(encode, limit_name=output_limit_name(provider), streamed=streamed)

    def decode(self, answer: Answer, request: Request, *, keep_raw: bool) -> Completion:
        """The completion in an answer."""
        return decode(answer, request, keep_raw=keep_raw)

    def probe(self, model: str) -> Request:
        """A greeting, answered by one token."""
        messages = ({"role": "user", "content": "Hi"},)
        return Request(0, "verify", messages, Parameters(model, max_output_tokens=1), fingerprint="")

    def models_url(self, base_url: str) -> str:
        """Beside the completions."""
        return f"{base_url}/models"

    def model_names(self, body: bytes) -> list[str] | None:
        """The ids in OpenAI's list."""
        return openai_api.model_names(body)


def encode(request: Request, *, limit_name: str, streamed: bool = False) -> bytes:
    """The request's body. `limit_name` is what this endpoint calls the output limit."""
    head = request.parameters.derived(_encoded_parameters, limit_name, streamed)
    return b'%b,"messages":%b}' % (head, orjson.dumps(request.messages))


def _encoded_parameters(parameters: Parameters, limit_name: str, streamed: bool) -> bytes:
    """Everything but the messages, without the last brace."""
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
    """OpenAI's own models take `max_completion_tokens` only; all other endpoints know `max_tokens`."""
    return "max_completion_tokens" if provider.name == "api.openai.com" else "max_tokens"


def decode(answer: Answer, request: Request, *, keep_raw: bool) -> Completion:
    """The completion in an answer.

    Raises the `RequestError` that the status or the body stands for; a `BadResponse` or `Rejected` carries
    the completion that came with it, for it was billed.
    """
    if not 200 <= answer.status < 300:
        raise_refusal(answer, ERROR_WORDS)
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
    stop = STOPS.get(choice.finish_reason or "", Stop.END)
    return checked(completion, request, stop, choice.message.refusal)


def _chat(answer: Answer) -> Chat:
    try:
        if is_stream(answer.headers):
            return openai_chat_stream.joined(answer)
        chat = _decode_chat(answer.body)
    except msgspec.ValidationError as error:
        raise BadResponse(f"answer is not a chat completion: {error}", status=answer.status) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadResponse(f"answer is not JSON: {one_line(answer.body)}", status=answer.status) from error
    if chat.usage is None and chat.x_groq is not None:
        chat.usage = usage_in(chat.x_groq)
    return chat
