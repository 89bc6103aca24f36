"""The one type that holds the values of a column whose type differs from file to file.

As DuckDB's `union_by_name`, but only where no value is lost: nothing is rounded, and nothing becomes text.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.types as pt

from prefect_llm.documents.conversion import is_list

_UNITS = ("s", "ms", "us", "ns")
_FLOAT_BITS = {pa.float16(): 11, pa.float32(): 24, pa.float64(): 53}
"""How large integers each holds exactly."""
_DIGITS = {8: 3, 16: 5, 32: 10, 64: 20}
_MAX_DECIMAL_DIGITS = 76


def widened(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type for two staged types, `None` if there is none.

    Integers beside doubles are doubles, and the finer unit of time counts: converting finds values that do not fit.
    """
    if one.equals(other) or pt.is_null(other):
        return one
    if pt.is_null(one):
        return other
    if is_list(one) and is_list(other):
        inner = widened(one.value_type, other.value_type)
        return None if inner is None else pa.list_(inner)
    if pt.is_struct(one) and pt.is_struct(other):
        return _struct(one, other)
    if pt.is_map(one) and pt.is_map(other):
        key, item = widened(one.key_type, other.key_type), widened(one.item_type, other.item_type)
        return None if key is None or item is None else pa.map_(key, item)

    return _number(one, other) or _time(one, other)


def _struct(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    fields = {field.name: field.type for field in one}
    for field in other:
        inner = widened(fields.get(field.name, field.type), field.type)
        if inner is None:
            return None
        fields[field.name] = inner
    return pa.struct(list(fields.items()))


def _number(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    if pt.is_integer(one) and pt.is_integer(other):
        return _integer(one, other)
    if pt.is_floating(one) and pt.is_floating(other):
        return max(one, other, key=_FLOAT_BITS.__getitem__)
    for integer, number in ((one, other), (other, one)):
        if pt.is_integer(integer) and pt.is_floating(number):
            enough = _FLOAT_BITS[number] >= integer.bit_width
            return number if enough else pa.float64()
    return _decimal(_as_decimal(one), _as_decimal(other))


def _integer(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if pt.is_signed_integer(one) == pt.is_signed_integer(other):
        return max(one, other, key=lambda each: each.bit_width)
    signed, unsigned = (one, other) if pt.is_signed_integer(one) else (other, one)
    bits = max(signed.bit_width, 2 * unsigned.bit_width)
    return {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}.get(bits, pa.decimal128(20, 0))


def _as_decimal(type: pa.DataType) -> tuple[int, int] | None:
    """The digits before and after the point."""
    if pt.is_decimal(type):
        return type.precision - type.scale, type.scale
    return (_DIGITS[type.bit_width], 0) if pt.is_integer(type) else None


def _decimal(one: tuple[int, int] | None, other: tuple[int, int] | None) -> pa.DataType | None:
    if one is None or other is None:
        return None
    before, after = max(one[0], other[0]), max(one[1], other[1])
    digits = before + after
    if digits > _MAX_DECIMAL_DIGITS:
        return None
    return pa.decimal128(digits, after) if digits <= 38 else pa.decimal256(digits, after)


def _time(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    for day, moment in ((one, other), (other, one)):
        if pt.is_date(day) and pt.is_timestamp(moment) and moment.tz is None:
            return moment
    if pt.is_timestamp(one) and pt.is_timestamp(other) and (one.tz is None) == (other.tz is None):
        return pa.timestamp(_finer(one, other), one.tz if one.tz == other.tz else "UTC")
    if pt.is_duration(one) and pt.is_duration(other):
        return pa.duration(_finer(one, other))
    if pt.is_time(one) and pt.is_time(other):
        unit = _finer(one, other)
        return pa.time32(unit) if unit in _UNITS[:2] else pa.time64(unit)
    return None


def _finer(one: pa.DataType, other: pa.DataType) -> str:
    return str(max(one.unit, other.unit, key=_UNITS.index))
