"""Columns in other types with the same values, through every nesting; by hand where pyarrow's cast gives up."""

from __future__ import annotations

import uuid
from bisect import bisect_right
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt


def converted(column: pa.Array, type: pa.DataType, *, safe: bool = True) -> pa.Array:
    """The column in a type that holds its values; `pa.ArrowException` where a value does not fit.

    Extensions, dictionaries, runs and views become plain. A field that a struct lacks is null. Unless `safe`, digits
    of a second that do not fit are cut off.
    """
    held = column.type
    if isinstance(column, pa.ExtensionArray):
        if held.extension_name == "arrow.uuid" and pt.is_string(type):
            return pa.array([_uuid_text(value) for value in column.to_pylist()], type)
        storage = column.storage.cast(pa.bool_()) if held.extension_name == "arrow.bool8" else column.storage
        return converted(storage, type, safe=safe)
    if pt.is_run_end_encoded(held):
        return converted(column.values, type, safe=safe).take(_runs(column))
    if pt.is_dictionary(held):
        return converted(column.dictionary, type, safe=safe).take(column.indices)
    if held.equals(type):
        return column
    if pt.is_fixed_size_list(held) and pt.is_fixed_size_list(type):
        return _fixed_size_list(column, type, safe=safe)
    if is_list(held) and pt.is_list(type):
        return _list(column, type, safe=safe)
    if pt.is_struct(held) and pt.is_struct(type):
        return _struct(column, type, safe=safe)
    if pt.is_map(held) and pt.is_map(type):
        return _map(column, type, safe=safe)

    return column.cast(type, safe=safe)


def is_list(type: pa.DataType) -> bool:
    """Whether the type is one of the five lists."""
    return bool(
        pt.is_list(type)
        or pt.is_large_list(type)
        or pt.is_list_view(type)
        or pt.is_large_list_view(type)
        or pt.is_fixed_size_list(type)
    )


def _list(column: pa.Array, type: pa.DataType, *, safe: bool) -> pa.Array:
    """From any list; the cast of list views writes one offset too few in pyarrow 26."""
    if pt.is_list_view(column.type) or pt.is_large_list_view(column.type):
        # Before it is flattened: pyarrow joins no extensions. The sums are no slices, as offsets must be.
        values = converted(column.values, type.value_type, safe=safe)
        view = pa.ListViewArray if pt.is_list_view(column.type) else pa.LargeListViewArray
        offsets, sizes = pc.add(column.offsets, 0), pc.add(column.sizes, 0)
        column = view.from_arrays(offsets, sizes, values, mask=column.is_null())

    lengths = pc.cast(pc.fill_null(pc.list_value_length(column), 0), pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    values = converted(column.flatten(), type.value_type, safe=safe)
    return pa.ListArray.from_arrays(offsets, values, type=type, mask=column.is_null())


def _fixed_size_list(column: pa.Array, type: pa.DataType, *, safe: bool) -> pa.Array:
    # `flatten` leaves nulls out, `values` knows no slices.
    values = column.values.slice(column.offset * type.list_size, len(column) * type.list_size)
    return pa.FixedSizeListArray.from_arrays(
        converted(values, type.value_type, safe=safe), type=type, mask=column.is_null()
    )


def _struct(column: pa.Array, type: pa.DataType, *, safe: bool) -> pa.Array:
    there = dict(zip((field.name for field in column.type), column.flatten(), strict=True))
    cells = [
        converted(there[field.name], field.type, safe=safe)
        if field.name in there
        else pa.nulls(len(column), field.type)
        for field in type
    ]
    return pa.StructArray.from_arrays(cells, fields=list(type), mask=column.is_null())


def _map(column: pa.Array, type: pa.DataType, *, safe: bool) -> pa.Array:
    # `keys` and `items` know no slices.
    start, end = column.offsets[0].as_py(), column.offsets[-1].as_py()
    return pa.MapArray.from_arrays(
        pc.subtract(column.offsets, start),
        converted(column.keys.slice(start, end - start), type.key_type, safe=safe),
        converted(column.items.slice(start, end - start), type.item_type, safe=safe),
        type=type,
        mask=column.is_null(),
    )


def _runs(column: pa.RunEndEncodedArray) -> pa.Array:
    """For each row the place of its run: pyarrow decodes no nested values."""
    ends: Sequence[int] = column.run_ends.to_pylist()
    return pa.array([bisect_right(ends, column.offset + row) for row in range(len(column))], pa.int32())


def _uuid_text(value: uuid.UUID | bytes | None) -> str | None:
    return None if value is None else str(value if isinstance(value, uuid.UUID) else uuid.UUID(bytes=value))
