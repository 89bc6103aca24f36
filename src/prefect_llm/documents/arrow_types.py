"""Arrow types on their way through a run: as staged, as a prompt sees them, as a result column holds them.

Staged is the plainest type with the same values (no views, dictionaries, extensions): a chunk stands alone.
Results hold the nearest type with the same values that every reader of Parquet knows (`benchmarks/readers.py` tries
them), and JSON text where there is none.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.types as pt

from prefect_llm.documents.conversion import converted, is_list

_TEXT = pa.string()
_PLAIN = {
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
    # Parquet has neither seconds nor dates in milliseconds.
    pa.timestamp("s"): pa.timestamp("ms"),
    pa.time32("s"): pa.time32("ms"),
    pa.date64(): pa.date32(),
}
_EXTENSIONS = {"arrow.uuid": pa.string(), "arrow.bool8": pa.bool_()}
"""Those whose storage is not their value."""
_MAX_DECIMAL_DIGITS = 38
_Maps = Literal["strict"] | None


def staged_type(type: pa.DataType, *, null: pa.DataType = _TEXT) -> pa.DataType:
    """The type in which a column is staged. `null` is the one for values that are all null, at any depth."""
    if isinstance(type, pa.BaseExtensionType):
        return _EXTENSIONS.get(type.extension_name) or staged_type(type.storage_type, null=null)
    if pt.is_dictionary(type) or pt.is_run_end_encoded(type):
        return staged_type(type.value_type, null=null)
    if pt.is_timestamp(type) and type.unit == "s":
        return pa.timestamp("ms", type.tz)
    if pt.is_fixed_size_list(type):
        return pa.list_(staged_type(type.value_type, null=null), type.list_size)
    if is_list(type):
        return pa.list_(staged_type(type.value_type, null=null))
    if pt.is_struct(type):
        return pa.struct([pa.field(field.name, staged_type(field.type, null=null)) for field in type])
    if pt.is_map(type):
        return pa.map_(staged_type(type.key_type, null=null), staged_type(type.item_type, null=null))

    return null if pt.is_null(type) else _PLAIN.get(type, type)


def result_type(type: pa.DataType) -> pa.DataType | None:
    """The type of a kept column in the results; `None`: it becomes JSON text."""
    staged = staged_type(type)
    if not _can_be_held(staged):
        return None
    if pt.is_dictionary(type) and pt.is_string(staged):
        return pa.dictionary(pa.int32(), pa.string())
    return _held_type(staged)


def holds_binary(type: pa.DataType) -> bool:
    """Whether raw bytes are anywhere in the type: an image in a struct is one too."""
    staged = staged_type(type)
    if pt.is_binary(staged) or pt.is_fixed_size_binary(staged):
        return True
    return any(holds_binary(inner) for inner in _inner_types(staged))


def has_repeated_field(type: pa.DataType) -> bool:
    """Whether a struct anywhere in the type names two fields alike: no Python value can hold it."""
    if pt.is_struct(type) and len({field.name for field in type}) < type.num_fields:
        return True
    return any(has_repeated_field(inner) for inner in _inner_types(type))


def to_result(column: pa.ChunkedArray, type: pa.DataType, *, as_json: bool) -> pa.ChunkedArray:
    """A staged column as the results hold it."""
    if as_json:
        return pa.chunked_array([[json_text(value) for value in python_values(column)]], type)
    if pt.is_dictionary(type):
        return column.dictionary_encode().cast(type)
    return pa.chunked_array([converted(chunk, type) for chunk in column.chunks], type)


def python_values(column: pa.ChunkedArray) -> list[Any]:
    """The cells as Python values, maps as dicts.

    What Python cannot hold (a date after the year 9999, a map that has a key twice) is `Unreadable`.
    """
    prompt_type = _in_microseconds(column.type)
    if not prompt_type.equals(column.type):
        chunks = [converted(chunk, prompt_type, safe=False) for chunk in column.chunks]
        column = pa.chunked_array(chunks, prompt_type)
    maps: _Maps = None if _has_nested_key(prompt_type) else "strict"
    try:
        return column.to_pylist(maps_as_pydicts=maps)  # type: ignore[no-any-return]
    except (ValueError, OverflowError, KeyError):
        return [_python_value(cell, maps) for cell in column]


class Unreadable(msgspec.Struct, frozen=True):
    """Stands for a cell that has no Python value; `reason` says why."""

    reason: str


def json_text(value: Any) -> str | None:
    """A cell as JSON, null staying null; keys that JSON has not are text."""
    if value is None:
        return None
    try:
        return msgspec.json.encode(value).decode()
    except TypeError:
        return msgspec.json.encode(_with_text_keys(value)).decode()


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key if isinstance(key, (str, int)) and not isinstance(key, bool) else str(key): _with_text_keys(each)
            for key, each in value.items()
        }
    return [_with_text_keys(each) for each in value] if isinstance(value, (list, tuple)) else value


def _can_be_held(type: pa.DataType) -> bool:
    if pt.is_duration(type) or pt.is_interval(type) or pt.is_union(type) or pt.is_run_end_encoded(type):
        return False
    if pt.is_decimal(type) and _digits(type) > _MAX_DECIMAL_DIGITS:
        return False
    # Delta and DuckDB take no two names that differ only in case; Parquet has no struct without fields.
    if pt.is_struct(type) and not 0 < len({field.name.lower() for field in type}) == type.num_fields:
        return False
    if pt.is_map(type) and pt.is_nested(type.key_type):
        return False
    return all(_can_be_held(inner) for inner in _inner_types(type))


def _held_type(type: pa.DataType) -> pa.DataType:
    """A type with the same values that Delta, Iceberg, Daft, DataFusion and Hugging Face read as well.

    Delta has no time of day: it is text (`09:30:00.000`). Instants are in UTC.
    """
    if pt.is_decimal(type):
        return pa.decimal128(_digits(type), max(type.scale, 0))
    if pt.is_time(type):
        return pa.string()
    if pt.is_timestamp(type) and type.tz is not None:
        return pa.timestamp(type.unit, "UTC")
    if pt.is_float16(type):
        return pa.float32()
    if is_list(type):  # pyarrow 25 cannot read a null of a fixed size
        return pa.list_(_held_type(type.value_type))
    if pt.is_struct(type):
        return pa.struct([pa.field(field.name, _held_type(field.type)) for field in type])
    if pt.is_map(type):
        return pa.map_(_held_type(type.key_type), _held_type(type.item_type))

    return type


def _digits(type: pa.DataType) -> int:
    """How many digits a decimal has before and after its point: a negative scale stands for zeros."""
    return int(type.precision - min(type.scale, 0))


def _in_microseconds(type: pa.DataType) -> pa.DataType:
    """Python's clock has microseconds: as_py refuses the rest without pandas."""
    if pt.is_timestamp(type) and type.unit == "ns":
        return pa.timestamp("us", type.tz)
    if pt.is_time64(type) and type.unit == "ns":
        return pa.time64("us")
    if pt.is_duration(type) and type.unit == "ns":
        return pa.duration("us")
    if pt.is_fixed_size_list(type):
        return pa.list_(_in_microseconds(type.value_type), type.list_size)
    if is_list(type):
        return pa.list_(_in_microseconds(type.value_type))
    if pt.is_struct(type):
        return pa.struct([field.with_type(_in_microseconds(field.type)) for field in type])
    if pt.is_map(type):
        return pa.map_(_in_microseconds(type.key_type), _in_microseconds(type.item_type))

    return type


def _inner_types(type: pa.DataType) -> list[pa.DataType]:
    return [type.field(index).type for index in range(type.num_fields)]


def _has_nested_key(type: pa.DataType) -> bool:
    """Whether a map's keys are lists or structs: no dict has those, such maps stay lists of pairs."""
    return bool(pt.is_map(type) and pt.is_nested(type.key_type)) or any(map(_has_nested_key, _inner_types(type)))


def _python_value(cell: pa.Scalar, maps: _Maps) -> Any:
    try:
        return cell.as_py(maps_as_pydicts=maps)
    except KeyError:
        return Unreadable("a map in it has a key twice")
    except (ValueError, OverflowError) as error:
        return Unreadable(str(error))
