"""Checks that every wire format makes of a completion: the ways in which a 200 is a failure all the same."""

from __future__ import annotations

import dataclasses
from enum import Enum, auto

from prefect_llm.values.errors import BadResponse, Rejected
from prefect_llm.values.outcome import Completion, ErrorKind
from prefect_llm.values.request import Request
from prefect_llm.wire.error_bodies import one_line


class Stop(Enum):
    """Why an answer ended, in one word for all formats; `finish_reason` keeps the format's own."""

    END = auto()
    CUT = auto()
    FILTERED = auto()


def checked(completion: Completion, request: Request, stop: Stop, refusal: str | None = None) -> Completion:
    """The completion, with its parsed `output` if a schema was asked for.

    `refusal` is what the model said if it declined. Raises `Rejected` or `BadResponse` if it is not an answer; the
    error carries the completion, which was billed.
    """
    answer_format = request.parameters.answer_format

    if stop is Stop.FILTERED:
        message = "the endpoint's content filter stopped the answer"
        raise Rejected(message, kind=ErrorKind.CONTENT_FILTERED, status=200, completion=completion)
    if refusal:
        message = one_line(f"the model refused: {refusal}")
        raise Rejected(message, kind=ErrorKind.REFUSED, status=200, completion=completion)
    if stop is Stop.CUT and (answer_format is not None or request.parameters.fail_truncated):
        message = "the output limit cut the answer" + (" before its JSON ended" if answer_format is not None else "")
        raise BadResponse(message, kind=ErrorKind.TRUNCATED, status=200, completion=completion)
    if completion.content is None:
        raise BadResponse("answer with null content", status=200, completion=completion)

    return completion if answer_format is None else _parsed(completion, request)


def _parsed(completion: Completion, request: Request) -> Completion:
    answer_format = request.parameters.answer_format
    assert answer_format is not None
    try:
        output = answer_format.parse(completion.content or "")
    except BadResponse as error:
        error.status, error.completion = 200, completion
        raise
    return dataclasses.replace(completion, output=output)
