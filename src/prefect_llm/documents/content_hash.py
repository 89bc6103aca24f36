"""A hash of documents by their values, names and types, however many batches they came in and whatever wrote them.

Arrow does not say what lies under a null, beyond a bitmap's end or around a slice: nothing of that counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt


class ContentHash:
    """Takes in chunk after chunk."""

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=16)

    def add(self, chunk: pa.Table) -> None:
        """The next rows."""
        self._digest.update(chunk.schema.remove_metadata().serialize())
        for column in chunk.columns:
            for values in _parts(_copied(*column.chunks, type=column.type)):
                self._digest.update(pa.record_batch([values], names=[""]).serialize())

    def hexdigest(self) -> str:
        """Of all rows so far."""
        return self._digest.hexdigest()


def _parts(values: pa.Array) -> Iterator[pa.Array]:
    """The values as flat arrays without nulls, and beside each which of them are null and how long its lists are."""
    kind = values.type
    has_nulls = values.null_count > 0 and not pt.is_union(kind)
    yield pc.cast(values.is_valid(), pa.uint8()) if has_nulls else pa.array([], pa.uint8())
    if has_nulls:
        values = values.drop_null()

    if pt.is_struct(kind):
        for field in values.flatten():
            yield from _parts(field)
    elif pt.is_map(kind):
        yield pc.subtract(values.offsets[1:], values.offsets[:-1])
        yield from _parts(_copied(values.keys))
        yield from _parts(_copied(values.items))
    elif pt.is_list(kind) or pt.is_fixed_size_list(kind):
        yield pc.list_value_length(values)
        yield from _parts(values.flatten())
    elif pt.is_boolean(kind):
        yield pc.cast(values, pa.uint8())
    else:
        yield _copied(values)


def _copied(*arrays: pa.Array, type: pa.DataType | None = None) -> pa.Array:
    """In buffers of their own: those of a slice are serialised with their neighbours."""
    return pa.concat_arrays([*arrays, pa.nulls(0, type or arrays[0].type)])
