"""The Arrow type of a JSON column, decided over the whole input: what was seen is folded, nothing is kept."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import pyarrow as pa

_MAX_DEPTH = 16
_MAX_FIELDS = 200
"""Objects with more names than this are maps keyed by values, not structs."""
_EXACT_IN_FLOAT64 = 2**53
_NONE = type(None)


class Shape:
    """What the values of one column looked like so far."""

    def __init__(self, depth: int = 0) -> None:
        self._depth = depth
        self._kinds: set[type] = set()
        self._smallest = 0
        self._largest = 0
        self._items: Shape | None = None
        self._fields: dict[str, Shape] = {}
        self._mixed = False

    def see(self, values: list[Any]) -> None:
        """Fold more values in."""
        if self._mixed:
            return

        kinds = set(map(type, values))
        self._kinds |= kinds
        self._mixed = self._depth > _MAX_DEPTH or not _agree(self._kinds - {_NONE})
        if self._mixed:
            return
        if int in kinds:
            integers = [value for value in values if type(value) is int]
            self._smallest = min(self._smallest, min(integers))
            self._largest = max(self._largest, max(integers))

        if list in kinds:
            self._items = self._items or Shape(self._depth + 1)
            self._items.see(list(chain.from_iterable(value for value in values if value is not None)))
        if dict in kinds:
            self._see_objects(value for value in values if value is not None)

    def arrow_type(self) -> pa.DataType | None:
        """The one type all values fit; `None`: there is none, they become JSON text."""
        kinds = self._kinds - {_NONE}
        if self._mixed:
            return None
        if int in kinds:
            return self._number_type(kinds)
        if list in kinds:
            inner = self._items.arrow_type() if self._items else pa.string()
            return None if inner is None else pa.list_(inner)
        if dict in kinds:
            return self._struct_type()
        if float in kinds:
            return pa.float64()

        return pa.bool_() if bool in kinds else pa.string()

    def _see_objects(self, objects: Iterable[dict[str, Any]]) -> None:
        cells: dict[str, list[Any]] = {}
        for value in objects:
            for name, cell in value.items():
                cells.setdefault(name, []).append(cell)
        if len(cells.keys() | self._fields.keys()) > _MAX_FIELDS:
            self._mixed = True
            return
        for name, seen in cells.items():
            self._fields.setdefault(name, Shape(self._depth + 1)).see(seen)

    def _number_type(self, kinds: set[type]) -> pa.DataType | None:
        if float in kinds:
            exact = self._smallest >= -_EXACT_IN_FLOAT64 and self._largest <= _EXACT_IN_FLOAT64
            return pa.float64() if exact else None
        return pa.int64() if self._smallest >= -(2**63) and self._largest < 2**63 else None

    def _struct_type(self) -> pa.DataType | None:
        if len({name.lower() for name in self._fields}) < len(self._fields):
            return None  # not every reader of results tells names apart by case
        fields = []
        for name, shape in self._fields.items():
            inner = shape.arrow_type()
            if inner is None:
                return None
            fields.append(pa.field(name, inner))
        return pa.struct(fields) if fields else None


def _agree(kinds: set[type]) -> bool:
    return len(kinds) <= 1 or kinds == {int, float}
