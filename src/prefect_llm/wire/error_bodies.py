"""Turns a status other than 2xx into an error of `values.errors`.

Bodies differ between endpoints (`{"error": {...}}`, `{"error": "text"}`, `{"detail": [...]}`, HTML). What can be read
of them becomes a code and one line of text; only the code decides. Each wire format lists its codes in `ErrorWords`.
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import orjson

from prefect_llm.values import formatting
from prefect_llm.values.errors import Cause, Rejected, Throttled, Unavailable
from prefect_llm.values.outcome import MAX_MESSAGE_CHARACTERS, ErrorKind
from prefect_llm.wire.http import Answer, Headers

THROTTLE_STATUSES = frozenset({429, 498})
"""498 is Groq's "flex capacity exceeded"."""
TEMPORARY_STATUSES = frozenset({408, 409, 425})
MAX_RETRY_AFTER_S = 300.0
"""A wrong date in a Retry-After must not pause a run for a year."""


_ERROR_STATUS = re.compile("[45][0-9]{2}")


@dataclass(frozen=True, slots=True)
class ErrorWords:
    """The codes by which the endpoints of one wire format say what is wrong.

    `kinds` maps the code of a 400, 413 or 422 to the failure of its request, `causes` maps a code to what is wrong
    with the provider. `statuses` maps a code to the status it stands for in an error inside a 200; of several the
    highest counts.
    """

    kinds: Mapping[str, ErrorKind] = field(default_factory=dict)
    causes: Mapping[str, Cause] = field(default_factory=dict)
    statuses: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an error body says: its text in one line, its codes, and the parameters it blames."""

    text: str
    codes: frozenset[str] = frozenset()
    parameters: frozenset[str] = frozenset()

    def code(self, words: ErrorWords) -> str | None:
        """The known code of the body, if it has one; else any of its codes."""
        known = self.codes & (words.kinds.keys() | words.causes.keys())
        return min(known or self.codes, default=None)


def raise_refusal(answer: Answer, words: ErrorWords, complaint: Complaint | None = None) -> NoReturn:
    """Raise what a status that is not 2xx stands for.

    `complaint` is what the body says, from a format whose bodies `read_complaint` does not understand.
    """
    complaint = complaint or read_complaint(answer.body)
    status, code = answer.status, complaint.code(words)
    cause = words.causes.get(code or "")
    message = one_line(f"HTTP {status}: {complaint.text}" if complaint.text else f"HTTP {status}")

    if status in THROTTLE_STATUSES:
        wait_s = retry_after_s(answer.headers)
        raise Throttled(message, status=status, code=code, cause=cause, retry_after_s=wait_s)
    if status >= 500 or status in TEMPORARY_STATUSES:
        wait_s = retry_after_s(answer.headers)
        raise Unavailable(message, status=status, code=code, cause=cause, retry_after_s=wait_s)

    if 300 <= status < 400:
        where = answer.headers.get("location") or "nowhere"
        message = one_line(f"HTTP {status}: not followed where it redirects to: {where}")
    kind = words.kinds.get(code or "") if status in (400, 413, 422) else None
    raise Rejected(message, kind=kind, status=status, code=code, cause=cause, parameters=complaint.parameters)


def raise_embedded_error(answer: Answer, data: bytes, words: ErrorWords) -> NoReturn:
    """Raise what an error inside a 200 stands for, as if it had come with a status of its own."""
    raise_refusal(Answer(_embedded_status(data, words), answer.headers, data), words)


def _embedded_status(data: bytes, words: ErrorWords) -> int:
    """The status that an error names, else the one its words stand for."""
    if (named := _named_status(data)) is not None:
        return named
    codes = read_complaint(data).codes
    return max((words.statuses[code] for code in codes if code in words.statuses), default=500)


def _named_status(data: bytes) -> int | None:
    try:
        told: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    inner = told.get("error") if isinstance(told, dict) else None
    objects = [each for each in (inner, told) if isinstance(each, dict)]
    texts = (str(each.get(name)) for each in objects for name in ("status", "status_code", "code"))
    return next((int(text) for text in texts if _ERROR_STATUS.fullmatch(text)), None)


def read_complaint(body: bytes) -> Complaint:
    """What can be read of an error body."""
    try:
        parsed: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Complaint(one_line(body))
    if not isinstance(parsed, dict):
        return Complaint(one_line(body))

    error = parsed.get("error", parsed)
    if not isinstance(error, dict):
        return Complaint(one_line(str(error)))
    text = error.get("message") or error.get("detail") or body
    return Complaint(
        one_line(text if isinstance(text, (bytes, str)) else orjson.dumps(text)),
        frozenset(value for key in ("code", "type") if isinstance(value := error.get(key), str)),
        _blamed_parameters(error),
    )


def _blamed_parameters(error: dict[str, Any]) -> frozenset[str]:
    """OpenAI's `param`; FastAPI's `detail[].loc`, whose second part is the body's field."""
    blamed = [error.get("param")]
    details = error.get("detail")
    for detail in details if isinstance(details, list) else []:
        location = detail.get("loc") if isinstance(detail, dict) else None
        blamed += location[1:2] if isinstance(location, list) else []
    return frozenset(name.split(".")[0] for name in blamed if isinstance(name, str))


def retry_after_s(headers: Headers) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `Retry-After` (seconds or an HTTP date, RFC 9110 10.2.3)."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        seconds = _seconds(value) if value else None
        if seconds is not None:
            return min(max(seconds * unit_s, 0.0), MAX_RETRY_AFTER_S)
    return None


def _seconds(value: str) -> float | None:
    if re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
        return float(value)
    try:
        return email.utils.parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None


def one_line(text: bytes | str) -> str:
    """Text for people, without tags and line breaks, of at most 500 characters."""
    if isinstance(text, bytes):
        text = text[: 8 * MAX_MESSAGE_CHARACTERS].decode("utf-8", "replace")
    return formatting.one_line(re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL))
