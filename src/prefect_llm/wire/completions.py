"""Checks that every wire format makes of a completion: the ways in which a 200 is a failure all the same."""

from __future__ import annotations

import dataclasses
import re

from prefect_llm.values.errors import BadResponse, Rejected, Unavailable
from prefect_llm.values.outcome import Completion, ErrorKind
from prefect_llm.values.request import Request
from prefect_llm.wire.error_bodies import one_line
from prefect_llm.wire.finish_reasons import CUTS, Stop
from prefect_llm.wire.http import Answer
from prefect_llm.wire.server_sent_events import is_stream

__all__ = ["Stop", "checked", "is_completion"]

_ERROR_IN_JSON = re.compile(rb'"error"\s*:\s*[{\["t]|"(?:object|type)"\s*:\s*"error"|^event:\s*error', re.MULTILINE)
"""In a text of the answer every quotation mark is escaped, and none of these stands there."""


def is_completion(answer: Answer) -> bool:
    """Whether the body is an answer, whole or streamed, and neither an error nor a page."""
    if not 200 <= answer.status < 300 or (b"error" in answer.body and _ERROR_IN_JSON.search(answer.body)):
        return False
    return answer.body.lstrip().startswith(b"{") or is_stream(answer)


def checked(
    completion: Completion, request: Request, stop: Stop, refusal: str | None = None, *, instead: str = ""
) -> Completion:
    """The completion, with its parsed `output` if a schema was asked for.

    `refusal` is what the model said if it declined, `instead` what came in place of content, in words. Raises
    `Unavailable` if the endpoint gave the answer up, `Rejected` or `BadResponse` if it is none; the error carries
    the completion, which was billed.
    """
    if stop is Stop.GIVEN_UP:
        message = f"the endpoint gave the answer up (finish_reason {completion.finish_reason!r})"
        raise Unavailable(one_line(message), status=200, completion=completion)
    if stop is Stop.FILTERED:
        message = "the endpoint's content filter stopped the answer"
        raise Rejected(message, kind=ErrorKind.CONTENT_FILTERED, status=200, completion=completion)
    if refusal or stop is Stop.REFUSED:
        message = one_line(f"the model refused: {refusal or completion.content or completion.finish_reason}")
        raise Rejected(message, kind=ErrorKind.REFUSED, status=200, completion=completion)

    if (cut := _cut(completion, request, stop)) is not None:
        raise BadResponse(cut, kind=ErrorKind.TRUNCATED, status=200, completion=completion)
    if completion.content is None:
        message = one_line(f"answer with null content; {instead}" if instead else "answer with null content")
        raise BadResponse(message, status=200, completion=completion)
    return completion if request.parameters.answer_format is None else _parsed(completion, request)


def _cut(completion: Completion, request: Request, stop: Stop) -> str | None:
    """Why a cut answer is a failure; `None` if it is not cut, or its text counts.

    Without any text it always is. Some gateways call even that an end: then its tokens tell.
    """
    parameters = request.parameters
    is_empty = not (completion.content or "").strip()
    if stop not in CUTS and not (is_empty and _used_up(completion, parameters.max_output_tokens)):
        return None

    limit = "model's context" if stop is Stop.CONTEXT_FULL else "output limit"
    if is_empty:
        return f"the {limit} cut the answer before its text began: {_spent(completion)}{_advice(request, stop)}"
    if parameters.answer_format is not None:
        return f"the {limit} cut the answer before its JSON ended{_advice(request, stop)}"
    return f"the {limit} cut the answer{_advice(request, stop)}" if parameters.fail_truncated else None


def _used_up(completion: Completion, limit: int | None) -> bool:
    used = None if completion.usage is None else completion.usage.output_tokens
    return limit is not None and used is not None and used >= limit


def _spent(completion: Completion) -> str:
    usage = completion.usage
    if usage is None or usage.output_tokens is None:
        return "nothing came but what the model thought"
    if usage.reasoning_tokens:
        return f"reasoning used {usage.reasoning_tokens:,} of {usage.output_tokens:,} output tokens"
    return f"{usage.output_tokens:,} output tokens were used up"


def _advice(request: Request, stop: Stop) -> str:
    if stop is Stop.CONTEXT_FULL:
        return "; shorten the document, or ask a model with a longer context"
    limit = request.parameters.max_output_tokens
    if limit is None:
        return "; the limit is the endpoint's own: give max_output_tokens"
    return f"; it needs max_output_tokens above {limit:,}"


def _parsed(completion: Completion, request: Request) -> Completion:
    answer_format = request.parameters.answer_format
    assert answer_format is not None
    try:
        output = answer_format.parse(completion.content or "")
    except BadResponse as error:
        error.status, error.completion = 200, completion
        raise
    return dataclasses.replace(completion, output=output)
