"""What the JSON of an error body says, wherever it says it.

Endpoints wrap an error in `error`, `errors`, `detail`, a list of one, or a gateway's own error, whose `metadata.raw`
or `message` is the provider's body as text. All objects of the wrapping are read, from the outermost inwards; an
endpoint's echo of the request (`input`, `failed_generation`) is not.
"""

from __future__ import annotations

import http
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

Object = dict[str, Any]

DEEPEST = 12
MOST_OBJECTS = 50
"""An error body is read no deeper and no further than that: it comes from anybody."""

_INSIDE = (
    "error",
    "errors",
    "message",
    "detail",
    "details",
    "innererror",
    "metadata",
    "raw",
    "provider_specific_fields",
    "violations",
    "fieldViolations",
)
_CODES = ("code", "type", "status", "error", "error_code", "error_type", "errorCode", "reason")
_TEXTS = (
    "message",
    "msg",
    "detail",
    "details",
    "error_description",
    "error_message",
    "errorMessage",
    "errors",
    "description",
    "title",
    "reason",
    "error",
)
_NO_WORD = frozenset({"", "error", "None", "null"})
"""What stands in a code's place and is none; LiteLLM writes Python's `None`."""

_WORD = re.compile(r"[A-Za-z0-9][\w.-]*")
_STATUS = re.compile("[1-5][0-9]{2}")
_ERROR_STATUS = re.compile("[45][0-9]{2}")
_NAME = re.compile(r"[A-Za-z_]\w*")
_QUOTED_NAME = re.compile(r"""['"`]([A-Za-z_]\w*)['"`]""")
_PHRASES = frozenset(status.phrase.lower() for status in http.HTTPStatus)

_LITELLM = re.compile(r"litellm\.")
_LITELLM_TYPE = re.compile(r"(?:litellm\.)?([A-Za-z]+Error): ")
_XAI_CHECK = re.compile(r"Failed check: (SAFETY_CHECK_TYPE)_\w+")

FLAGGED = "flagged_input"
"""The word for OpenRouter's moderation, which shows by `metadata.reasons` and `metadata.flagged_input` alone."""
PER_DAY = "PerDay"
"""The word for Google's quotas per day: `quotaId` is, for example, GenerateRequestsPerDayPerProjectPerModel."""


def objects_of(body: bytes) -> list[Object]:
    """The objects of a body, from the outermost inwards; none if it is no JSON."""
    return objects_in(_parsed(body.removeprefix(BOM_UTF8)))


def objects_in(told: Any) -> list[Object]:
    """The objects of a parsed body, from the outermost inwards."""
    found: list[Object] = []
    _gather(told, found, DEEPEST)
    return found


def _gather(told: Any, found: list[Object], depth: int) -> None:
    if depth == 0 or len(found) >= MOST_OBJECTS:
        return
    if isinstance(told, list):
        for each in told[:MOST_OBJECTS]:
            _gather(each, found, depth - 1)
    elif isinstance(told, dict):
        found.append(told)
        for name in _INSIDE:
            _gather(told.get(name), found, depth - 1)
    elif isinstance(told, str) and told.lstrip().startswith(("{", "[")):
        _gather(_parsed(told), found, depth - 1)


def _parsed(text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def codes_in(objects: Iterable[Object]) -> frozenset[str]:
    """Every word that may be a code; an HTTP status in a code's place is none."""
    codes = set[str]()
    for each in objects:
        values = (str(each[name]) for name in _CODES if isinstance(each.get(name), (str, int)))
        codes |= {value for value in values if _is_code(value)}
        codes |= set(_codes_of_text(each.get("message")))
        if isinstance(each.get("reasons"), list) or "flagged_input" in each:
            codes.add(FLAGGED)
        if PER_DAY in str(each.get("quotaId")):
            codes.add(PER_DAY)
        codes |= set(_codes_of_text(each.get("error")))
    return frozenset(codes)


def _is_code(value: str) -> bool:
    return value not in _NO_WORD and bool(_WORD.fullmatch(value)) and not _STATUS.fullmatch(value)


def _codes_of_text(text: Any) -> Iterator[str]:
    """The codes of those who have no place for them but the sentence.

    LiteLLM begins it with its exceptions' types (`litellm.BadRequestError: litellm.ContextWindowExceededError: ...`),
    xAI ends it with the check that failed.
    """
    if not isinstance(text, str):
        return
    if _LITELLM.match(text):
        place = 0
        while (found := _LITELLM_TYPE.match(text, place)) is not None:
            yield found[1]
            place = found.end()
    if (check := _XAI_CHECK.search(text)) is not None:
        yield check[1]


def status_in(objects: Iterable[Object]) -> int | None:
    """The HTTP status that an error names, if it names one."""
    texts = (str(each.get(name)) for each in objects for name in ("status", "status_code", "code"))
    return next((int(text) for text in texts if _ERROR_STATUS.fullmatch(text)), None)


def parameters_in(objects: Iterable[Object]) -> frozenset[str]:
    """The request's fields that are blamed: OpenAI's `param`, FastAPI's `loc` after "body", Google's `field`."""
    blamed: list[Any] = []
    for each in objects:
        blamed += [each.get("param"), each.get("field")]
        location = each.get("loc")
        if isinstance(location, list):
            blamed += [part for part in location if part != "body"][:1]
    names = (_NAME.match(name) for name in blamed if isinstance(name, str) and name not in _NO_WORD)
    return frozenset(name[0] for name in names if name is not None)


def quoted_parameter(text: str) -> str | None:
    """The first name in quotes: in the sentence of an error that is known to be about a parameter."""
    found = _QUOTED_NAME.search(text)
    return found[1] if found else None


def text_in(objects: Iterable[Object]) -> str | None:
    """The sentences of the objects, each once, without single words beside them; `None` if there is none."""
    said: list[str] = []
    for each in objects:
        text = _sentence(each)
        if text and not any(text in other for other in said):
            said = [other for other in said if other not in text] + [text]
    said = [text for text in said if " " in text] or said
    return ": ".join(said) or None


def _sentence(each: Object) -> str | None:
    """The object's own text. A status phrase or a code is none where it also has a sentence."""
    texts = [text for name in _TEXTS if (text := _plain(each.get(name)))]
    telling = [text for text in texts if text.lower() not in _PHRASES and " " in text.strip()]
    text = next(iter(telling or texts), None)
    location = each.get("loc")
    if text is not None and isinstance(location, list):
        return f"{'.'.join(str(part) for part in location if part != 'body')}: {text}"
    return text


def _plain(value: Any) -> str | None:
    """A text that is no JSON, or a list of such texts."""
    if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        value = "; ".join(value[:MOST_OBJECTS])
    return value if isinstance(value, str) and value.strip() and not value.lstrip().startswith(("{", "[")) else None


def reset_in(objects: Iterable[Object]) -> str | None:
    """How long to wait, as the body says: Google's `retryDelay`, OpenRouter's copy of its header, `retry_after`."""
    for each in objects:
        headers = each.get("headers")
        if isinstance(headers, dict) and isinstance(reset := headers.get("X-RateLimit-Reset"), str):
            return reset
        for name in ("retryDelay", "retry_after", "retry_after_seconds"):
            if isinstance(value := each.get(name), (str, int, float)) and not isinstance(value, bool):
                return str(value)
    return None
