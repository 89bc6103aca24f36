"""The scan itself: a key planted in each wrapping is found, and in wrappings of wrappings."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import pickle
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.secrets.scanning import ways_to

KEY = "sk-planted-4711-abcdef"

Wrap = Callable[[bytes], bytes]


class Executed:
    """A pickle that would leave a file if it were carried out."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.path),)


def arrow(content: bytes, *, streamed: bool) -> bytes:
    table = pa.table({"nested": [[{"at": content}]]})
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    opened = pa.ipc.new_stream if streamed else pa.ipc.new_file
    with opened(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue()


def parquet(content: bytes, *, metadata: bool = False) -> bytes:
    table = pa.table({"text": [content] * 3, "number": [1, 2, 3]})
    if metadata:
        table = table.drop(["text"]).replace_schema_metadata({"spec": content})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def sqlite(content: bytes) -> bytes:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE runs (id INTEGER, parameters BLOB)")
        connection.execute("INSERT INTO runs VALUES (1, ?)", [content])
        connection.commit()
        return connection.serialize()


WRAPPINGS: dict[str, Wrap] = {
    "base64": base64.b64encode,
    "base64 behind other text": lambda content: b"data:text/plain;base64," + base64.b64encode(content),
    "base64 for URLs": base64.urlsafe_b64encode,
    "base64 right behind other letters": lambda content: b"abc" + base64.b64encode(content),
    "base64 in lines": base64.encodebytes,
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda content: bytes(pa.Codec("zstd").compress(content, asbytes=True)),
    "pickle": lambda content: pickle.dumps({"result": [content]}),
    "parquet": parquet,
    "parquet metadata": lambda content: parquet(content, metadata=True),
    "arrow file": lambda content: arrow(content, streamed=False),
    "arrow stream": lambda content: arrow(content, streamed=True),
    "sqlite": sqlite,
    "json": lambda content: json.dumps({"a": [{"b": base64.b64encode(content).decode()}]}).encode(),
}
TEXTS: dict[str, Callable[[str], bytes]] = {
    "plain": lambda text: b"Authorization: Bearer " + text.encode(),
    "utf-16": lambda text: b"x" + text.encode("utf-16"),
    "a URL": lambda text: quote(text, safe="").replace("-", "%2D").encode(),
    "escapes": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text).encode(),
    "escapes within JSON": lambda text: json.dumps(json.dumps({"headers": f'"{text}"'})).encode(),
}


@pytest.mark.parametrize("write", TEXTS.values(), ids=TEXTS)
def test_a_key_is_found_as_text_of_any_kind(write: Callable[[str], bytes]) -> None:
    assert ways_to(KEY, write(KEY))


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
def test_a_key_is_found_in_every_wrapping(wrap: Wrap) -> None:
    planted = wrap(f"before {KEY} after".encode())
    assert ways_to(KEY, planted)
    assert ways_to(KEY, wrap(b"before sk-another-key after")) == []


@pytest.mark.parametrize("outer", WRAPPINGS.values(), ids=WRAPPINGS)
@pytest.mark.parametrize("inner", WRAPPINGS.values(), ids=WRAPPINGS)
def test_a_key_is_found_in_a_wrapping_within_a_wrapping(outer: Wrap, inner: Wrap) -> None:
    assert ways_to(KEY, outer(inner(f"before {KEY} after".encode())))


def test_a_found_key_is_reported_with_the_encodings_around_it() -> None:
    stored = json.dumps({"result": base64.b64encode(gzip.compress(pickle.dumps([KEY]))).decode()}).encode()
    assert "json > base64 > gzip > pickle" in ways_to(KEY, stored)


def test_a_pickle_is_taken_apart_and_not_executed(tmp_path: Path) -> None:
    planted = pickle.dumps([Executed(str(tmp_path / "executed")), KEY])
    assert ways_to(KEY, planted)
    assert not (tmp_path / "executed").exists()


def test_what_only_begins_like_a_format_is_no_fault() -> None:
    for magic in (b"\x1f\x8b", b"\x78\x9c", b"BZh9", b"PAR1", b"ARROW1", b"SQLite format 3\x00", b"\x80\x04", b"{"):
        assert ways_to(KEY, magic + b"nothing of the kind") == []
        assert ways_to(KEY, magic + KEY.encode()) == ["as it is"]
