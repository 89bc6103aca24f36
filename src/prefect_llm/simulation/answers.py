"""Answers as HTTP/1.1 bytes, assembled from prepared parts."""

from __future__ import annotations

from enum import Enum, auto
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from prefect_llm.simulation.asked import CHARACTERS_PER_TOKEN, NoInstance

_WORDS = b"the simulated provider answers with words that mean nothing and are as long as an answer would be, "
_PREPARED_TOKENS = 16_384
CONTENT_PIECES = 4
"""The pieces of a streamed text."""
_FILLER = (_WORDS * (_PREPARED_TOKENS * CHARACTERS_PER_TOKEN // len(_WORDS) + 1))[
    : _PREPARED_TOKENS * CHARACTERS_PER_TOKEN
]
_GATEWAY_PAGE = b"<html><head><title>503</title></head><body><h1>503 Service Unavailable</h1></body></html>\n"


class Then(Enum):
    """What happens to the connection after the bytes."""

    KEEP = auto()
    CLOSE = auto()
    RESET = auto()


class Delivery(NamedTuple):
    """What a connection writes, and what happens to it then."""

    data: bytes
    then: Then = Then.KEEP


class Ending(NamedTuple):
    """How an answer ends: its text as JSON, its length in tokens, and whether the output limit cut it."""

    content: bytes
    output_tokens: int
    cut: bool = False


def ending(drawn_tokens: int, limit: int | None, schema: Any) -> Ending:
    """An answer of about the drawn length, within the limit. Raises `NoInstance` for a schema without instances.

    With a schema the text is as long as its instance; the token count is the drawn one if that is larger.
    """
    if schema is not None:
        return _structured_ending(drawn_tokens, limit, schema)
    if limit is not None and drawn_tokens > limit:
        return Ending(_filler(limit), limit, cut=True)
    return Ending(_filler(drawn_tokens), drawn_tokens)


def _structured_ending(drawn_tokens: int, limit: int | None, schema: Any) -> Ending:
    text = _instance_text(orjson.dumps(schema))
    needed = -(-len(text) // CHARACTERS_PER_TOKEN)
    if limit is not None and needed > limit:
        return Ending(orjson.dumps(text[: limit * CHARACTERS_PER_TOKEN]), limit, cut=True)
    return Ending(orjson.dumps(text), max(needed, min(drawn_tokens, limit or drawn_tokens)))


@lru_cache(maxsize=256)
def _instance_text(schema: bytes) -> str:
    """Pure; kept while the process lives, since the requests of a run share a schema."""
    # Its check of answers brings Arrow along, which a provider without schemas is spared.
    from prefect_llm.simulation.schema_instance import minimal_instance

    try:
        return orjson.dumps(minimal_instance(orjson.loads(schema))).decode()
    except orjson.JSONEncodeError as error:  # bounds beyond 64 bits
        raise NoInstance(str(error)) from error


def _filler(tokens: int) -> bytes:
    if tokens <= _PREPARED_TOKENS:
        return b'"%b"' % _FILLER[: tokens * CHARACTERS_PER_TOKEN]
    return b'"%b"' % (_FILLER * -(-tokens // _PREPARED_TOKENS))[: tokens * CHARACTERS_PER_TOKEN]


def text_pieces(ending: Ending) -> list[str]:
    """The text in the pieces of a stream: a few of equal length; an empty text is one empty piece."""
    text: str = orjson.loads(ending.content)
    length = max(1, -(-len(text) // CONTENT_PIECES))
    return [text[start : start + length] for start in range(0, max(1, len(text)), length)]


def ok(body: bytes, rate_headers: bytes = b"") -> bytes:
    """A whole answer with status 200."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n%b" % (
        len(body),
        rate_headers,
        body,
    )


def error(
    status: int,
    message: str,
    kind: str = "invalid_request_error",
    *,
    parameter: str | None = None,
    code: str | None = None,
    headers: bytes = b"",
) -> Delivery:
    """An error as OpenAI words it."""
    body = {"error": {"message": message, "type": kind, "param": parameter, "code": code}}
    return Delivery(with_status(status, b"application/json", orjson.dumps(body), headers))


def unavailable() -> Delivery:
    """503 with the HTML page of a gateway."""
    return Delivery(with_status(503, b"text/html", _GATEWAY_PAGE))


def overloaded() -> Delivery:
    """529 as Anthropic words it, https://docs.anthropic.com/en/api/errors."""
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    return Delivery(with_status(529, b"application/json", orjson.dumps(body)))


def with_status(status: int, content_type: bytes, body: bytes, headers: bytes = b"") -> bytes:
    """A whole answer with any status."""
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n%b" % (
        status,
        _reason(status),
        content_type,
        len(body),
        headers,
        body,
    )


def _reason(status: int) -> bytes:
    return HTTPStatus(status).phrase.encode() if status in {each.value for each in HTTPStatus} else b"Overloaded"
