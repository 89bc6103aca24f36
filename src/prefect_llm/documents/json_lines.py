"""JSON Lines files as a source: line by line, so that types may vary and columns may appear late.

msgspec decodes rather than orjson, which turns integers beyond 64 bits into floats.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import msgspec

from prefect_llm.documents.batches import LineBatch, place
from prefect_llm.documents.file_starts import encoding_of
from prefect_llm.documents.json_faults import readable_part, what_is_wrong
from prefect_llm.documents.listing import LocatedSource, reading
from prefect_llm.values.errors import InvalidInput

_BLOCK_BYTES = 1024 * 1024
_BOM = b"\xef\xbb\xbf"

_START_BYTES = 256
_OBJECTS_AT_ONCE = 1_000
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
decode_line = msgspec.json.Decoder().decode
"""One line's object, its integers exact."""


class JsonLinesSource(LocatedSource):
    """One or more files of JSON Lines, or of one JSON array each, which is read as a whole."""

    default_id = "id"

    def row_count(self) -> int | None:
        """Not known without reading."""
        return None

    def batches(self, keep_bad: bool = False) -> Iterator[LineBatch]:
        """The lines of all files, about 1 MB at a time; `InvalidInput` for one that is no JSON object."""
        for file in self._location.files():
            first_row, first_line = 0, 1
            cells = self._location.partitions.values(file.path)
            with reading(file.name), self._location.open(file) as stream:
                for block in _blocks(stream, file.name):
                    batch = _with_cells(_decoded(block, file.name, first_row, first_line, keep_bad=keep_bad), cells)
                    first_row += len(batch.lines)
                    first_line += len(block)
                    if batch.lines:
                        yield batch


def _blocks(stream: BinaryIO, file: str) -> Iterator[list[bytes]]:
    """The lines of a file, or the objects of its one array; `InvalidInput` where it is no text."""
    start = stream.read(_START_BYTES)
    stream.seek(0)
    if named := encoding_of(start):
        raise InvalidInput(f'"{file}" {named}.')
    if not start.removeprefix(_BOM).lstrip().startswith(b"["):
        yield from _blocks_of_lines(stream)
        return

    try:
        objects = _decode_array(stream.read().removeprefix(_BOM))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f'"{file}" begins as a JSON array and is none ({error}): write one array, or one object a line.'
        ) from error
    for number in range(0, len(objects), _OBJECTS_AT_ONCE):
        yield [bytes(each) for each in objects[number : number + _OBJECTS_AT_ONCE]]


def _blocks_of_lines(stream: BinaryIO) -> Iterator[list[bytes]]:
    pieces: list[bytes] = []
    start = _BOM
    while block := stream.read(_BLOCK_BYTES):
        block, start = block.removeprefix(start), b""
        whole, newline, rest = block.rpartition(b"\n")
        if newline:
            yield b"".join([*pieces, whole]).split(b"\n")
            pieces = []
        pieces.append(rest)
    if last := b"".join(pieces):
        yield [last]


def _with_cells(batch: LineBatch, cells: dict[str, Any]) -> LineBatch:
    """The lines with these cells before their own; of two with one name the later counts."""
    if not cells:
        return batch
    start = msgspec.json.encode(cells)[:-1]
    lines = [
        b"".join([start, b"," if row else b"", line.lstrip()[1:]])
        for line, row in zip(batch.lines, batch.objects, strict=True)
    ]
    return replace(batch, lines=lines, objects=[decode_line(line) for line in lines])


def _decoded(block: list[bytes], file: str, first_row: int, first_line: int, *, keep_bad: bool) -> LineBatch:
    batch = LineBatch([], [], [], file, first_row)
    for number, line in enumerate(block, first_line):
        try:
            value = decode_line(line)
            wrong = None if type(value) is dict else _no_object(value)
        except (ValueError, RecursionError) as error:
            if not line.strip():
                continue
            value, wrong = readable_part(line), what_is_wrong(line, error)
        if wrong is not None:
            where = place(file, first_row + len(batch.lines), number)
            if not keep_bad:
                raise InvalidInput(f"{where} {wrong}.")
            batch.bad[len(batch.lines)] = f"{where} {wrong}"
            value = value if type(value) is dict else {}
            line = msgspec.json.encode(value)
        batch.lines.append(line)
        batch.objects.append(value)
        batch.numbers.append(number)

    return batch


def _no_object(value: Any) -> str:
    kind = "null" if value is None else type(value).__name__
    return f"is not a JSON object but {kind}: write one object a line"
