"""Turns a status other than 2xx into an error of `values.errors`.

Bodies differ between endpoints (`{"error": {...}}`, `{"error": "text"}`, `{"detail": [...]}`, HTML). What can be read
of them becomes codes, parameters and one line of text. Codes decide, never words, but for a context that is too long.
Each wire format lists its codes in `ErrorWords`.
"""

from __future__ import annotations

import time
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import orjson

from prefect_llm.values import formatting
from prefect_llm.values.errors import Cause, Rejected, Throttled, Unavailable
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.wire import error_objects, web_pages
from prefect_llm.wire.context_length import says_too_long
from prefect_llm.wire.http import Answer
from prefect_llm.wire.waits import believed, retry_after_s, seconds_until

THROTTLE_STATUSES = frozenset({429, 498})
"""498 is Groq's "flex capacity exceeded"."""
TEMPORARY_STATUSES = frozenset({408, 409, 424, 425, 499})
"""424 is text-generation-inference's and Bedrock's "generating failed", 499 a request cancelled on its way."""

_DOCUMENTS_OWN = frozenset({ErrorKind.CONTEXT_TOO_LONG, ErrorKind.CONTENT_FILTERED})
"""Kinds that hold whatever the status: no repeat of the document mends them, and no other document has them."""
_NO_DOCUMENTS_FAULT = frozenset({401, 404, *THROTTLE_STATUSES})
"""These are about a key, an address or a rate, whatever else the body says."""
_KINDS_BY_STATUS = {446: ErrorKind.CONTENT_FILTERED, 451: ErrorKind.CONTENT_FILTERED}
"""446 is Portkey's "guardrails failed", 451 "unavailable for legal reasons"."""
_CAUSES_BY_STATUS = {412: Cause.ACCOUNT_EXHAUSTED, 413: Cause.DOCUMENT_REFUSED, 501: Cause.UNSUPPORTED}
"""412 is Portkey's "budget exhausted" and Fireworks' "account suspended"."""
_STATUSES_BY_CAUSE = {
    Cause.DOCUMENT_REFUSED: 400,
    Cause.KEY_REFUSED: 401,
    Cause.ACCOUNT_EXHAUSTED: 402,
    Cause.LIMIT_PER_DAY: 429,
    Cause.MODEL_NOT_FOUND: 404,
    Cause.PARAMETER_REFUSED: 400,
    Cause.UNSUPPORTED: 501,
}
_CAUSES = list(Cause)
"""Of several causes in one body the earlier counts: it says more."""
_PARAMETER_STATUSES = frozenset({400, 404, 405, 415, 422})

_PROXIES_OWN = frozenset({403, 502, 503, 504})
"""What a proxy says that does not let a request through, or does not reach its endpoint."""
_LONGEST_READ = 65_536
"""Bytes; a page's style and scripts come before its text."""


@dataclass(frozen=True, slots=True)
class ErrorWords:
    """The codes by which the endpoints of one wire format say what is wrong.

    `kinds` maps a code to the failure of its request, `causes` to who is at fault, `statuses` to the status it stands
    for in an error inside a 200; of several the highest counts. `parameter_kinds` maps a blamed parameter to the
    failure of its request. `documents_fields` are the members of the body that differ between the documents of a run.
    """

    kinds: Mapping[str, ErrorKind] = field(default_factory=dict)
    causes: Mapping[str, Cause] = field(default_factory=dict)
    statuses: Mapping[str, int] = field(default_factory=dict)
    parameter_kinds: Mapping[str, ErrorKind] = field(default_factory=dict)
    documents_fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an error body says: its text in one line, its codes, the parameters it blames, how long it asks to wait.

    `is_page` tells a page for people, which no API sends.
    """

    text: str
    codes: frozenset[str] = frozenset()
    parameters: frozenset[str] = frozenset()
    retry_after_s: float | None = None
    is_page: bool = False

    def code(self, words: ErrorWords) -> str | None:
        """The code of the body that says most: a known one, if it has one."""
        return min(self.codes, key=lambda code: (_rank(code, words), code), default=None)


def _rank(code: str, words: ErrorWords) -> int:
    """A kind of failure before a cause, a cause before a code that nobody knows."""
    if code in words.kinds:
        return 0
    return _CAUSES.index(words.causes[code]) + 1 if code in words.causes else len(_CAUSES) + 1


def raise_refusal(answer: Answer, words: ErrorWords, complaint: Complaint | None = None) -> NoReturn:
    """Raise what a status that is not 2xx stands for.

    `complaint` is what the body says, from a format whose bodies `read_complaint` does not understand.
    """
    complaint = complaint or read_complaint(answer.body)
    status, code = answer.status, complaint.code(words)
    kind = _kind(status, code, complaint, words)
    cause = _cause(status, kind, code, complaint, words)
    message = _message(answer, complaint)

    if status in THROTTLE_STATUSES:
        wait_s = _wait_s(answer, complaint)
        raise Throttled(message, status=status, code=code, cause=cause, retry_after_s=wait_s)
    passing = status >= 500 or status in TEMPORARY_STATUSES
    if passing and kind not in _DOCUMENTS_OWN and cause is not Cause.UNSUPPORTED:
        wait_s = _wait_s(answer, complaint)
        raise Unavailable(message, status=status, code=code, cause=cause, retry_after_s=wait_s)

    parameters = _named_parameters(complaint, cause)
    raise Rejected(message, kind=kind, status=status, code=code, cause=cause, parameters=parameters)


def raise_embedded_error(answer: Answer, data: bytes, words: ErrorWords) -> NoReturn:
    """Raise what an error inside a 200 stands for, as if it had come with a status of its own."""
    raise_refusal(Answer(_embedded_status(data, words), answer.headers, data), words)


def _kind(status: int, code: str | None, complaint: Complaint, words: ErrorWords) -> ErrorKind | None:
    if status < 400 or status in _NO_DOCUMENTS_FAULT:
        return None
    if code is not None and code in words.kinds:
        return words.kinds[code]
    for parameter in complaint.parameters & words.parameter_kinds.keys():
        return words.parameter_kinds[parameter]
    if says_too_long(complaint.text):
        return ErrorKind.CONTEXT_TOO_LONG
    return _KINDS_BY_STATUS.get(status)


def _cause(
    status: int, kind: ErrorKind | None, code: str | None, complaint: Complaint, words: ErrorWords
) -> Cause | None:
    if kind is not None:
        return Cause.DOCUMENT_REFUSED if kind in _DOCUMENTS_OWN else None
    if code is not None and code in words.causes:
        return words.causes[code]
    if status in _CAUSES_BY_STATUS:
        return _CAUSES_BY_STATUS[status]
    if complaint.is_page and 400 <= status < 500 and status not in (401, *THROTTLE_STATUSES):
        return Cause.NOT_THE_API
    if status not in _PARAMETER_STATUSES:
        return None
    if "model" in complaint.parameters:
        return Cause.MODEL_NOT_FOUND
    return Cause.PARAMETER_REFUSED if complaint.parameters - words.documents_fields else None


def _named_parameters(complaint: Complaint, cause: Cause | None) -> frozenset[str]:
    """The parameters that are blamed; from the sentence where only a code says that it is about one."""
    if cause is not Cause.PARAMETER_REFUSED or complaint.parameters:
        return complaint.parameters
    name = error_objects.quoted_parameter(complaint.text)
    return frozenset() if name is None else frozenset({name})


def _message(answer: Answer, complaint: Complaint) -> str:
    status = answer.status
    if 300 <= status < 400:
        where = answer.headers.get("location") or "nowhere"
        return one_line(f"HTTP {status}: not followed where it redirects to: {where}")
    text = complaint.text.removeprefix(f"{status} ") if complaint.is_page else complaint.text
    by = f" by way of the proxy {answer.proxy}" if answer.proxy and status in _PROXIES_OWN else ""
    return one_line(f"HTTP {status}{by}: {text}" if text else f"HTTP {status}{by}")


def _wait_s(answer: Answer, complaint: Complaint) -> float | None:
    wait_s = retry_after_s(answer.headers)
    return complaint.retry_after_s if wait_s is None else wait_s


def _embedded_status(data: bytes, words: ErrorWords) -> int:
    """The status that an error names, else the one its words stand for."""
    objects = error_objects.objects_of(data)
    if (named := error_objects.status_in(objects)) is not None:
        return named
    stood_for = (_stands_for(code, words) for code in error_objects.codes_in(objects))
    return max((status for status in stood_for if status is not None), default=500)


def _stands_for(code: str, words: ErrorWords) -> int | None:
    if code in words.statuses:
        return words.statuses[code]
    if code in words.kinds:
        return 400
    return _STATUSES_BY_CAUSE.get(words.causes[code]) if code in words.causes else None


def read_complaint(body: bytes) -> Complaint:
    """What can be read of an error body."""
    if web_pages.is_page(body):
        return Complaint(one_line(body), is_page=True)
    try:
        told: Any = orjson.loads(body.removeprefix(BOM_UTF8))
    except orjson.JSONDecodeError:
        return Complaint(one_line(body))
    if not (objects := error_objects.objects_in(told)):
        return Complaint(one_line(body))

    reset = error_objects.reset_in(objects)
    return Complaint(
        one_line(_text(told, objects, body)),
        error_objects.codes_in(objects),
        error_objects.parameters_in(objects),
        believed(seconds_until(reset, time.time())),
    )


def _text(told: Any, objects: list[error_objects.Object], body: bytes) -> str | bytes:
    """The sentences; where there are none, the innermost thing that the endpoint meant as one, as JSON."""
    if (text := error_objects.text_in(objects)) is not None:
        return text
    error = told.get("error", told) if isinstance(told, dict) else told
    if not isinstance(error, dict):
        return str(error)
    meant = error.get("message") or error.get("detail")
    return body if meant is None else orjson.dumps(meant)


def one_line(text: bytes | str) -> str:
    """Text for people, without tags and line breaks, of at most 500 characters."""
    if isinstance(text, bytes):
        text = text.removeprefix(BOM_UTF8)[:_LONGEST_READ].decode("utf-8", "replace")
    return formatting.one_line(web_pages.shown(text))
