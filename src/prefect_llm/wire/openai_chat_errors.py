"""Errors in place of a chat completion: with a status of their own, or inside a 200 in any of the forms there are.

Gateways have sent the 200 before the provider behind them failed; they then answer with `error` beside or without
`choices`, inside the first choice, as a list of one, or as a body that names a status.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from prefect_llm.values.errors import BadResponse, RequestError
from prefect_llm.values.outcome import Completion, ErrorKind
from prefect_llm.wire.error_bodies import one_line, raise_embedded_error, raise_refusal
from prefect_llm.wire.error_objects import objects_of
from prefect_llm.wire.http import Answer
from prefect_llm.wire.json_text import json_of, sound_json
from prefect_llm.wire.openai_chat_shapes import ERROR, Chat, says_something
from prefect_llm.wire.openai_error_words import ERROR_WORDS

_ERROR_STATUS = re.compile("[45][0-9]{2}")

_OF_MINIMAX: dict[Any, int | str] = {
    **dict.fromkeys((1002, 1039, 1041, 2045, 2056), 429),
    **dict.fromkeys((1004, 2049), 401),
    1008: 402,
    **dict.fromkeys((1026, 1027), "content_filter"),
    2013: 400,
}
"""What its numbers stand for; any other is a server's fault. https://platform.minimax.io/docs/api-reference/errorcode"""


def refusal_in(answer: Answer) -> RequestError:
    """What an answer with a status other than 2xx stands for."""
    try:
        raise_refusal(answer, ERROR_WORDS)
    except RequestError as error:
        return _as_mismatch(error, answer.body)


def embedded_error(answer: Answer, error: bytes, completion: Completion) -> RequestError:
    """What the JSON of an error inside a 200 stands for; it carries what came before it, if that was billed."""
    try:
        raise_embedded_error(answer, error, ERROR_WORDS)
    except RequestError as told:
        found = _as_mismatch(told, error)

    usage = completion.usage
    if completion.content or (usage is not None and (usage.input_tokens or usage.output_tokens)):
        found.completion = completion
    return found


def error_in(chat: Chat, body: bytes) -> bytes | None:
    """The JSON of the error that came in the completion's place, or in its choice; `None` without one.

    vLLM says by `object` that it is an error, some gateways only by a status in a body without choices.
    """
    if says_something(chat.error) or ERROR in (chat.object, chat.type):
        return sound_json(body)
    if chat.choices:
        error = chat.choices[0].error
        return json_of({"error": error}).encode() if says_something(error) else None
    named = (str(each) for each in (chat.status, chat.status_code, chat.code))
    return sound_json(body) if any(map(_ERROR_STATUS.fullmatch, named)) else _error_of_minimax(chat.base_resp)


def _error_of_minimax(told: Any) -> bytes | None:
    """MiniMax answers every error with a 200 and a number of its own in `base_resp`."""
    number = told.get("status_code") if isinstance(told, dict) else None
    if not isinstance(number, int) or not number:
        return None
    message = f"{told.get('status_msg')} ({number})"
    return json_of({"error": {"code": _OF_MINIMAX.get(number, 500), "message": message}}).encode()


def error_in_list(body: bytes) -> bytes | None:
    """The JSON of an error in a list of one, as Google's endpoint sends it; `None` if the body is no such list."""
    try:
        told = orjson.loads(sound_json(body))
    except orjson.JSONDecodeError:
        return None
    first = next(iter(told), None) if isinstance(told, list) else None
    return orjson.dumps(first) if isinstance(first, dict) and ERROR in first else None


def _as_mismatch(error: RequestError, body: bytes) -> RequestError:
    """Groq checks the schema itself: its 400 is an answer that does not satisfy it, which another try may."""
    if error.kind is not ErrorKind.SCHEMA_MISMATCH:
        return error

    told = next((text for each in objects_of(body) if (text := each.get("failed_generation"))), None)
    completion = Completion(told) if isinstance(told, str) else None
    message = one_line(f"{error.message}: {told}" if completion else error.message)
    return BadResponse(message, kind=error.kind, status=error.status, code=error.code, completion=completion)
