"""A folder of text and Markdown files as a source: one document a file, columns `path` and `text`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, cast

import pyarrow as pa
from fsspec.compression import compr
from fsspec.utils import infer_compression

from prefect_llm.documents.batches import SourceBatch
from prefect_llm.documents.columns import Columns
from prefect_llm.documents.file_starts import encoding_of
from prefect_llm.documents.listing import LocatedSource, SourceFile, reading
from prefect_llm.values.errors import InvalidInput

_OWN = pa.schema([("path", pa.string()), ("text", pa.string())])
_FILES_AT_ONCE = 64
"""Fetched together: an object store answers each after tens of milliseconds."""


class TextFolder(LocatedSource):
    """Text files in sorted path order; the relative path is the id."""

    default_id = "path"

    @property
    def columns(self) -> Columns:
        """`path` and `text`, and the columns of the folders."""
        folders = (each for each in self._folders.items() if each[0] not in _OWN.names)
        return Columns(pa.schema([*_OWN, *folders]))

    def row_count(self) -> int | None:
        """Not known: the folder is walked as it is read."""
        return None

    def batches(self, columns: Sequence[str], keep_bad: bool = False) -> Iterator[SourceBatch]:
        """A few files at a time."""
        files = self._location.files()
        first_row = 0
        while part := list(islice(files, _FILES_AT_ONCE)):
            cells: dict[str, list[Any]] = {"path": [_path(file) for file in part]}
            bad: pa.Array | None = None
            if "text" in columns:
                texts = self._texts(part)
                reasons = [str(text) if isinstance(text, InvalidInput) else None for text in texts]
                cells["text"] = [None if isinstance(text, InvalidInput) else text for text in texts]
                bad = pa.array(reasons, pa.string())
                for text in texts:
                    if isinstance(text, InvalidInput) and not keep_bad:
                        raise text
            said = [self._location.partitions.values(file.path) for file in part]
            cells = {key: [each.get(key) for each in said] for key in self._folders} | cells
            batch = pa.record_batch(
                {name: pa.array(cells[name], self.columns.schema.field(name).type) for name in cells}
            )
            yield SourceBatch(batch.select(list(columns)), len(part), self.name, first_row, bad)
            first_row += len(part)

    @property
    def _folders(self) -> dict[str, pa.DataType]:
        return self._location.partitions.types

    def _texts(self, files: list[SourceFile]) -> list[str | InvalidInput]:
        """The text of each file, or why it is none."""
        paths = [file.path for file in files]
        with reading(files[0].name):
            # Not `cat`: that takes a name with brackets for a glob.
            contents = self._location.filesystem.cat_ranges(paths, None, None, on_error="return")
        return [_text(file, content) for file, content in zip(files, contents, strict=True)]


def _text(file: SourceFile, content: bytes | Exception) -> str | InvalidInput:
    with reading(file.name):
        if isinstance(content, Exception):
            raise content
        compression = infer_compression(file.name)
        if compression is not None:
            content = cast(bytes, compr[compression](io.BytesIO(content), mode="rb").read())
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if named := encoding_of(content[:8]):
            return InvalidInput(f'"{file.name}" {named}.')
        return InvalidInput(f'"{file.name}" is not UTF-8 text (byte {error.start + 1}): convert the file to UTF-8.')


def _path(file: SourceFile) -> str:
    try:
        file.relative.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"the file name {file.relative!a} is not UTF-8: rename the file.") from error
    return file.relative
