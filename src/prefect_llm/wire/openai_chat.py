"""OpenAI-compatible chat completions: `POST {base_url}/chat/completions`.

https://platform.openai.com/docs/api-reference/chat. Only the fields used are decoded.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from prefect_llm.values.errors import BadResponse, Cause, RequestError
from prefect_llm.values.outcome import Completion
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import AnswerFormat, Parameters, Request
from prefect_llm.wire import openai_api, openai_chat_stream
from prefect_llm.wire.addresses import below
from prefect_llm.wire.completions import checked
from prefect_llm.wire.encoders import Encoder
from prefect_llm.wire.error_bodies import one_line
from prefect_llm.wire.finish_reasons import Stop, stop_of
from prefect_llm.wire.http import Answer
from prefect_llm.wire.json_text import json_of, read_json, whole
from prefect_llm.wire.openai_chat_errors import embedded_error, error_in, error_in_list, refusal_in
from prefect_llm.wire.openai_chat_shapes import (
    Chat,
    Choice,
    Message,
    reasoning_of,
    refusal_of,
    string_or_none,
    text_of,
)
from prefect_llm.wire.openai_chat_tool_calls import calls_of, names_in, offers_tools
from prefect_llm.wire.output_limit_names import OutputLimitNames
from prefect_llm.wire.schema_forms import SchemaForms
from prefect_llm.wire.server_sent_events import is_stream
from prefect_llm.wire.service import service_of
from prefect_llm.wire.usage import usage_in, usage_of
from prefect_llm.wire.web_pages import is_page

_DECODER = msgspec.json.Decoder(Chat)


class OpenAIChat:
    """The format `openai-chat`."""

    operation = "chat"
    service = "chat completions"
    base_path = "/v1"
    answer_format_parameter = "response_format"
    rate_headers = openai_api.RATE_HEADERS

    def url(self, provider: Provider, request: Request) -> str:
        """One for all requests."""
        return below(provider.base_url, "/chat/completions")

    def headers(self, provider: Provider) -> dict[str, str]:
        """The key as a bearer token."""
        return openai_api.bearer(provider)

    def encoder(self, provider: Provider) -> Encoder:
        """What makes the bodies of all requests to that provider."""
        return ChatEncoder(provider)

    def decode(self, answer: Answer, request: Request, *, keep_raw: bool) -> Completion:
        """The completion in an answer."""
        return decode(answer, request, keep_raw=keep_raw)

    def probe(self, model: str) -> Request:
        """A greeting, answered by one token."""
        messages = ({"role": "user", "content": "Hi"},)
        return Request(0, "verify", messages, Parameters(model, max_output_tokens=1), fingerprint="")

    def models_url(self, base_url: str) -> str:
        """Beside the completions."""
        return below(base_url, "/models")

    def model_names(self, body: bytes) -> list[str] | None:
        """The ids in OpenAI's list."""
        return openai_api.model_names(body)


class ChatEncoder:
    """The bodies for one provider; learned is what its models call the output limit, and which schemas they take."""

    def __init__(self, provider: Provider) -> None:
        self._limit_names = OutputLimitNames(provider)
        self._schema_forms = SchemaForms(provider)
        self._streamed = provider.timeouts.idle_s is not None

    def __call__(self, request: Request) -> bytes:
        """The request's body."""
        model = request.parameters.model
        limit_name, strict = self._limit_names.of(model), self._schema_forms.strict(model)
        return encode(request, limit_name=limit_name, strict=strict, streamed=self._streamed)

    def learns_from(self, request: Request, error: RequestError) -> bool:
        """Take in a refusal of the output limit's name, or of the schema's form."""
        parameters = request.parameters
        return self._limit_names.learns_from(parameters, error) or self._schema_forms.learns_from(parameters, error)

    def answered(self, request: Request) -> None:
        """The name that the request had is a right one."""
        self._limit_names.answered(request.parameters)


def encode(request: Request, *, limit_name: str, strict: bool, streamed: bool = False) -> bytes:
    """The request's body. `limit_name` is what this endpoint calls the output limit; `strict` is whether it takes
    schemas in the strict form alone.
    """
    head = request.parameters.derived(_encoded_parameters, limit_name, strict, streamed)
    return b'%b,"messages":%b}' % (head, orjson.dumps(request.messages))


def _encoded_parameters(parameters: Parameters, limit_name: str, strict: bool, streamed: bool) -> bytes:
    """Everything but the messages, without the last brace."""
    body: dict[str, Any] = {"model": parameters.model}
    if parameters.max_output_tokens is not None:
        body[limit_name] = parameters.max_output_tokens
    if parameters.temperature is not None:
        body["temperature"] = parameters.temperature
    if (answer_format := parameters.answer_format) is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": _json_schema(answer_format, strict=strict)}
    if streamed:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return orjson.dumps(body | dict(parameters.extra))[:-1]


def _json_schema(answer_format: AnswerFormat, *, strict: bool) -> dict[str, Any]:
    """A schema without a strict form cannot be asked for strictly: OpenAI would refuse it."""
    form = answer_format.strict_schema
    schema = form if strict and form is not None else answer_format.schema
    return {"name": answer_format.name, "strict": form is not None, "schema": schema}


def decode(answer: Answer, request: Request, *, keep_raw: bool) -> Completion:
    """The completion in an answer.

    Raises the `RequestError` that the status or the body stands for, an error inside a 200 too. It carries the
    completion that came with it, if that was billed.
    """
    if not 200 <= answer.status < 300:
        raise refusal_in(answer)
    chat, error = openai_chat_stream.joined(answer) if is_stream(answer) else _read(answer)

    choice = chat.choices[0] if chat.choices else Choice()
    message = choice.message or Message()
    completion = _completion(chat, choice, message, request, answer, keep_raw=keep_raw)
    if error is not None:
        raise embedded_error(answer, error, completion)
    if message.content is not None and completion.content is None and not isinstance(message.content, list):
        what = f"message content is neither text nor parts but {type(message.content).__name__}"
        raise BadResponse(what, status=answer.status, completion=completion)
    if not chat.choices:
        what = f"answer without choices: {one_line(answer.body)}"
        raise BadResponse(one_line(what), status=answer.status, completion=completion)

    stop = stop_of(completion.finish_reason) or Stop.END
    instead = "" if completion.content is not None else _instead_of_content(message)
    return checked(completion, request, stop, _whole(refusal_of(message)), instead=instead)


def _completion(
    chat: Chat, choice: Choice, message: Message, request: Request, answer: Answer, *, keep_raw: bool
) -> Completion:
    content = text_of(message.content)
    calls = calls_of(message) if offers_tools(request.parameters) else []
    if calls and not (content and request.parameters.answer_format is not None):
        content = json_of(calls)

    return Completion(
        content=_whole(content),
        finish_reason=_whole(string_or_none(choice.finish_reason)),
        model=_whole(string_or_none(chat.model)),
        usage=usage_of(chat.usage),
        raw=answer.body if keep_raw else None,
        reasoning=_whole(reasoning_of(message)) if request.parameters.keep_reasoning else None,
        service=service_of(chat.service_tier, chat.usage, answer.headers),
    )


def _whole(text: str | None) -> str | None:
    return None if text is None else whole(text)


def _instead_of_content(message: Message) -> str:
    """What came in place of content, for people."""
    if calls := calls_of(message):
        return f"the model called a tool that it was not offered ({whole(names_in(calls))})"
    if (thoughts := reasoning_of(message)) is not None:
        return f"all of its text, {len(thoughts):,} characters, came as reasoning"
    return ""


def _read(answer: Answer) -> tuple[Chat, bytes | None]:
    """The completion, and the JSON of the error that came in its place or in its choice, if one did."""
    try:
        chat = read_json(answer.body, _DECODER)
    except msgspec.ValidationError as error:
        if (listed := error_in_list(answer.body)) is not None:
            return Chat(), listed
        raise BadResponse(f"answer is not a chat completion: {error}", status=answer.status) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = one_line(f"answer is not JSON: {one_line(answer.body)}")
        cause = Cause.NOT_THE_API if is_page(answer.body) else None
        raise BadResponse(message, status=answer.status, cause=cause) from error

    if chat.usage is None and chat.x_groq is not None:
        chat.usage = usage_in(chat.x_groq)
    return chat, error_in(chat, answer.body)
