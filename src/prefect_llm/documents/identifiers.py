"""Ids: one text per document, none empty, none twice.

Uniqueness over any number of rows costs 8 bytes a row: only hashes are kept, and equal ones are compared
exactly in a second pass over the staged ids.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import chain, pairwise

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from prefect_llm.documents.arrow_types import json_text
from prefect_llm.documents.batches import place, shortened
from prefect_llm.values.errors import InvalidInput

_HASHES_AT_ONCE = 250_000
_MAX_PASSES = 64
_SUSPECTS_AT_ONCE = 10_000
_REMEDY = "give every document an id of its own, or name another column with id_column"


def check_id_type(type: pa.DataType, *, column: str, source: str) -> None:
    """Raises `InvalidInput` unless ids can be made of the type: text and integers, decimals without places too."""
    is_whole = pt.is_integer(type) or (pt.is_decimal(type) and type.scale == 0)
    if not (pt.is_string(type) or is_whole):
        raise InvalidInput(
            f'the id column "{column}" of "{source}" is of type {type}: ids are text or integers; '
            "convert it, or name another column with id_column."
        )


def ids_of_column(cells: pa.Array, column: str, file: str, first_row: int) -> pa.Array:
    """The ids of one batch as text; `InvalidInput` names the row of a null or empty one."""
    ids = cells if pt.is_string(cells.type) else cells.cast(pa.string())
    if ids.null_count or pc.any(pc.equal(ids, "")).as_py():
        row = pc.index(pc.fill_null(pc.equal(ids, ""), True), True).as_py()
        raise InvalidInput(f"{place(file, first_row + row)}: {absent_id(column, ids[row].as_py())}; {_REMEDY}.")
    return ids


def unusable_id(column: str, cell: object) -> str:
    """What is wrong with an id of JSON that is no text and no integer, and what to do."""
    if cell is None or cell == "":
        return f"{absent_id(column, cell)}; {_REMEDY}"
    return (
        f'the id in column "{column}" is {shortened(json_text(cell) or "")}: ids are text or integers; '
        "convert it, or name another column with id_column"
    )


def absent_id(column: str, cell: object) -> str:
    """What is wrong with an id that is null or empty."""
    return f'the id in column "{column}" is {"null" if cell is None else "empty"}'


class IdRegister:
    """Remembers the hash of every id, and in which file each row lies."""

    def __init__(self, column: str) -> None:
        self._column = column
        self._hashes = array("q")
        self._files: list[tuple[int, str, int]] = []

    def add(self, ids: list[str], file: str, first_row: int) -> None:
        """Note one batch's ids, in the order of the input."""
        if not self._files or self._files[-1][1] != file:
            self._files.append((len(self._hashes), file, first_row))
        self._hashes.extend(map(hash, ids))

    def check_unique(self, reread: Callable[[], Iterable[list[str]]]) -> None:
        """Raises `InvalidInput` naming an id that two rows share.

        `reread` gives all ids again, in order; it is called only where hashes repeat.
        """
        suspects = self._repeated_hashes()
        for start in range(0, len(suspects), _SUSPECTS_AT_ONCE):
            self._compare(set(suspects[start : start + _SUSPECTS_AT_ONCE]), reread())

    def _repeated_hashes(self) -> list[int]:
        """By ranges of the hash, one after the other: sorting then needs little memory beside them."""
        hashes = pa.Array.from_buffers(pa.int64(), len(self._hashes), [None, pa.py_buffer(self._hashes)])
        parts = min(len(hashes) // _HASHES_AT_ONCE + 1, _MAX_PASSES)
        bounds = [-(2**63) + 2**64 * part // parts for part in range(parts)] + [2**63 - 1]
        repeated: list[int] = []
        for low, high in pairwise(bounds):
            part = hashes.filter(pc.and_(pc.greater_equal(hashes, low), pc.less_equal(hashes, high)))
            part = part.take(pc.array_sort_indices(part))
            duplicates = part[1:].filter(pc.equal(part[1:], part[:-1]))
            repeated.extend(duplicates.unique().to_pylist())
        return repeated

    def _compare(self, suspects: set[int], chunks: Iterable[list[str]]) -> None:
        first_rows: dict[str, int] = {}
        for row, text in enumerate(chain.from_iterable(chunks)):
            if hash(text) in suspects and first_rows.setdefault(text, row) != row:
                raise InvalidInput(
                    f'the id "{shortened(text)}" in column "{self._column}" is there twice: '
                    f"{self._place(first_rows[text])} and {self._place(row)}; {_REMEDY}."
                )

    def _place(self, row: int) -> str:
        index = bisect_right(self._files, row, key=lambda file: file[0]) - 1
        start, file, first_row = self._files[index]
        return f'row {first_row + row - start + 1} of "{file}"'
