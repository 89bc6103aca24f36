"""Finds a secret in bytes, however it was wrapped: a pure function from content to the ways that lead to the secret.

Looked through, in any nesting: base64, JSON, escapes of JSON and of URLs, gzip, zlib, bzip2, xz, zstd, Parquet,
Arrow, SQLite and pickles (taken apart, never executed); a text may stand in UTF-8 or UTF-16.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import contextlib
import gzip
import io
import json
import lzma
import pickletools
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import unquote_to_bytes

import pyarrow as pa
import pyarrow.parquet as pq

DEEPEST = 8
"""Wrappings inside one another; Prefect's results have three, a pickle in base64 in JSON."""
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/_-]{16,}[\r\n]*)+(?:[A-Za-z0-9+/_-]+)?={0,2}")
_ESCAPED = re.compile(rb'\\(?:u00([0-9a-fA-F]{2})|(["\\/]))')
_FAULTS = (
    OSError, EOFError, ValueError, KeyError, zlib.error, lzma.LZMAError, binascii.Error, pa.ArrowException,
    sqlite3.Error,
)  # fmt: skip

Decode = Callable[[bytes], Iterable[bytes]]


def ways_to(secret: str, content: bytes) -> list[str]:
    """Each way by which the secret is found in the content, as "base64 > pickle"; "as it is" for the plain one."""
    wanted = [secret.encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be")]
    found: dict[str, None] = {}
    seen: set[bytes] = set()
    waiting: list[tuple[tuple[str, ...], bytes]] = [((), content)]
    while waiting:
        way, layer = waiting.pop()
        if layer in seen:
            continue
        seen.add(layer)
        if any(each in layer for each in wanted):
            found[" > ".join(way) or "as it is"] = None
        if len(way) < DEEPEST:
            waiting += [((*way, name), inner) for name, inner in _unwrapped(layer)]
    return list(found)


def _unwrapped(layer: bytes) -> Iterator[tuple[str, bytes]]:
    """What the layer holds one wrapping further in."""
    for name, magic, decode in _FORMATS:
        if layer.startswith(magic):
            yield from _read(name, decode, layer)
    yield from _text(layer)


def _read(name: str, decode: Decode, layer: bytes) -> Iterator[tuple[str, bytes]]:
    """What a decoder gives; what only begins like its format is no wrapping."""
    with contextlib.suppress(*_FAULTS):
        for inner in decode(layer):
            yield name, inner


def _text(layer: bytes) -> Iterator[tuple[str, bytes]]:
    for match in _BASE64.finditer(layer):
        yield from _read("base64", _base64, match[0])
    if layer.lstrip()[:1] in (b"{", b"["):
        yield from _read("json", _json, layer)
    if _ESCAPED.search(layer):
        yield "escapes", _ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()) if match[1] else match[2], layer)
    if b"%" in layer and (plain := unquote_to_bytes(layer)) != layer:
        yield "url", plain


def _base64(text: bytes) -> Iterator[bytes]:
    """Decoded from each of the four places where a group may begin: what stands before it may look like base64."""
    standard = text.translate(bytes.maketrans(b"-_", b"+/"), b"\r\n=")
    for start in range(4):
        part = standard[start:]
        part = part[: len(part) - (len(part) % 4 == 1)]
        yield base64.b64decode(part + b"=" * (-len(part) % 4))


def _json(layer: bytes) -> Iterator[bytes]:
    yield from _leaves(json.loads(layer))


def _parquet(layer: bytes) -> Iterator[bytes]:
    file = pq.ParquetFile(io.BytesIO(layer))
    yield from _metadata(file.metadata.metadata)
    yield from _table(file.read())


def _table(table: pa.Table) -> Iterator[bytes]:
    yield from _metadata(table.schema.metadata)
    for field in table.schema:
        yield from _metadata(field.metadata)
        yield field.name.encode()
    for column in table.columns:
        yield from set(_leaves(column.to_pylist()))


def _metadata(metadata: dict[bytes, bytes] | None) -> Iterator[bytes]:
    for key, value in (metadata or {}).items():
        yield key
        yield value


def _leaves(value: object) -> Iterator[bytes]:
    """The texts and bytes in nested lists, structs and maps."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, str):
        yield value.encode("utf-8", "surrogatepass")
    elif isinstance(value, dict):
        yield from _leaves([*value.keys(), *value.values()])
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _leaves(each)


def _sqlite(layer: bytes) -> Iterator[bytes]:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        # A copy with a log beside it says so in two bytes, and does not open without the log.
        connection.deserialize(layer[:18] + b"\x01\x01" + layer[20:])
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                yield from _leaves(row)


def _pickle(layer: bytes) -> Iterator[bytes]:
    """The texts and bytes that the pickle's operations push, without carrying one out."""
    with contextlib.suppress(*_FAULTS):
        for _, argument, _ in pickletools.genops(layer):
            yield from _leaves(argument)


_FORMATS: list[tuple[str, bytes, Decode]] = [
    ("gzip", b"\x1f\x8b", lambda layer: [gzip.decompress(layer)]),
    ("zlib", b"\x78", lambda layer: [zlib.decompress(layer)]),
    ("bzip2", b"BZh", lambda layer: [bz2.decompress(layer)]),
    ("xz", b"\xfd7zXZ", lambda layer: [lzma.decompress(layer)]),
    ("zstd", b"\x28\xb5\x2f\xfd", lambda layer: [pa.CompressedInputStream(pa.BufferReader(layer), "zstd").read()]),
    ("parquet", b"PAR1", _parquet),
    ("arrow", b"ARROW1", lambda layer: _table(pa.ipc.open_file(layer).read_all())),
    ("arrow", b"\xff\xff\xff\xff", lambda layer: _table(pa.ipc.open_stream(layer).read_all())),
    ("sqlite", b"SQLite format 3\x00", _sqlite),
    ("pickle", b"\x80", _pickle),
]


def findings(secret: str, places: Iterable[tuple[str, bytes]]) -> list[str]:
    """A line for each place that holds the secret, and the ways by which."""
    return [f"{place}: {', '.join(ways)}" for place, content in places if (ways := ways_to(secret, content))]
