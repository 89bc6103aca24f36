"""Parses HTTP/1.1 requests from bytes that arrive in pieces of any size: pipelined, split, chunked (RFC 9112)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

MOST_HEAD_BYTES = 64 * 1024
MOST_BODY_BYTES = 256 * 1024 * 1024
MOST_CHUNK_LINE_BYTES = 1024

_REQUEST_LINE = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.([01])\r\n")
_FIELD = re.compile(rb"\r\n([!-9;-~]+)[ \t]*:[ \t]*([^\r\n]*)")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(;.*)?", re.DOTALL)


class MalformedRequest(Exception):
    """The bytes are not a readable request; the connection ends with `status`."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """The parts of a request's head that matter. `length` is `None` for a chunked body."""

    method: str
    path: str
    length: int | None
    closes: bool
    expects_continue: bool
    fields: Mapping[bytes, bytes]

    def field(self, name: str) -> str:
        """The value of a header, whose name is in lower case; empty if it is missing."""
        return self.fields.get(name.encode(), b"").decode("latin-1")


class RequestReader:
    """Takes bytes as they arrive and returns whole requests."""

    __slots__ = ("_body", "_head", "_received", "_searched", "_unanswered_expectation")

    def __init__(self) -> None:
        self._received = bytearray()
        self._searched = 0
        self._head: Head | None = None
        self._body = bytearray()
        self._unanswered_expectation = False

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._received += data

    def next_request(self) -> tuple[Head, bytes] | None:
        """The next request, `None` until it has arrived whole. Raises `MalformedRequest`."""
        head = self._head or self._next_head()
        if head is None:
            return None
        if head.length is None:
            if not self._read_chunks():
                return None
            body = bytes(self._body)
            self._body.clear()
        else:
            if len(self._received) < head.length:
                return None
            body = bytes(self._received[: head.length])
            del self._received[: head.length]

        self._head = None
        return head, body

    def must_continue(self) -> bool:
        """Whether the client waits for `100 Continue` before it sends the body; true once per request."""
        due, self._unanswered_expectation = self._unanswered_expectation and self._head is not None, False
        return due

    def _next_head(self) -> Head | None:
        end = self._received.find(b"\r\n\r\n", self._searched)
        if end > MOST_HEAD_BYTES or (end < 0 and len(self._received) > MOST_HEAD_BYTES):
            raise MalformedRequest("the request's head is too large", 431)
        if end < 0:
            self._searched = max(0, len(self._received) - 3)
            return None
        head = read_head(bytes(self._received[: end + 2]))
        del self._received[: end + 4]
        self._searched = 0
        self._head, self._unanswered_expectation = head, head.expects_continue
        return head

    def _read_chunks(self) -> bool:
        """Move whole chunks into the body; returns whether the last one was among them."""
        while (line_end := self._received.find(b"\r\n")) >= 0:
            size = _CHUNK_SIZE.fullmatch(self._received[:line_end])
            if size is None:
                raise MalformedRequest("a chunk's size is not a hexadecimal number")
            length = int(size[1], 16)
            if length == 0:
                end = self._received.find(b"\r\n\r\n", line_end)  # trailer fields, if any, are skipped
                if end >= 0:
                    del self._received[: end + 4]
                return end >= 0
            _refuse_over(len(self._body) + length)
            start, end = line_end + 2, line_end + 2 + length
            if len(self._received) < end + 2:
                return False
            if self._received[end : end + 2] != b"\r\n":
                raise MalformedRequest("a chunk does not end where its size says")
            self._body += self._received[start:end]
            del self._received[: end + 2]

        if len(self._received) > MOST_CHUNK_LINE_BYTES:
            raise MalformedRequest("a chunk's size is not a hexadecimal number")

        return False


@lru_cache(maxsize=1024)
def read_head(head: bytes) -> Head:
    """Request line and fields, up to and including the last field's line break. Raises `MalformedRequest`.

    Pure; kept while the process lives, since clients repeat their heads but for the length.
    """
    line = _REQUEST_LINE.match(head.lstrip(b"\r\n"))
    if line is None:
        raise MalformedRequest("the request line is not that of HTTP/1.1")

    fields = {name.lower(): value.strip() for name, value in _FIELD.findall(head)}
    chunked = fields.get(b"transfer-encoding", b"").lower() == b"chunked"
    length = fields.get(b"content-length", b"0")
    if not length.isdigit() or len(length) > 18 or (b"transfer-encoding" in fields and not chunked):
        raise MalformedRequest("the length of the request's body is unclear")

    _refuse_over(int(length))
    connection = fields.get(b"connection", b"").lower()
    return Head(
        method=line[1].decode(),
        path=line[2].split(b"?")[0].decode("latin-1"),
        length=None if chunked else int(length),
        closes=b"close" in connection or (line[3] == b"0" and b"keep-alive" not in connection),
        expects_continue=fields.get(b"expect", b"").lower() == b"100-continue",
        fields=fields,
    )


def _refuse_over(length: int) -> None:
    if length > MOST_BODY_BYTES:
        raise MalformedRequest("the request's body is too large", 413)
