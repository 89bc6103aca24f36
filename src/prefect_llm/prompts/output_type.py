"""The Arrow type of the column `output`, and answers as an array of it.

A part of an answer that has no single Arrow type (recursive, mixed, empty) is kept as JSON text; its Arrow
field says so in its metadata, for such a text and an ordinary string have the same type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa

from prefect_llm.prompts.schema_references import resolve
from prefect_llm.values.errors import InvalidInput

JSON_TEXT = {b"prefect_llm": b"json"}
"""Metadata of a field whose strings are JSON."""
MAX_INT64 = 2**63 - 1
_SCALARS = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}

Shape = Callable[[Any], Any]
"""Turns a parsed JSON value into what `pa.array` wants for its type."""


def output_type(schema: Mapping[str, Any]) -> pa.DataType:
    """The struct type for a checked JSON schema; every field is nullable.

    Raises `InvalidInput` where the schema's top level is not an object with properties.
    """
    found = _arrow_type(schema, schema, frozenset({"#"}))
    if found is None or not pa.types.is_struct(found):
        raise InvalidInput(
            'the answer schema must have "type": "object" and "properties" at its top level, one property '
            "for each field of the column output; put what it describes now into one such property"
        )
    return found


def to_output_array(values: Sequence[Any], type: pa.DataType) -> pa.Array:
    """Parsed answers, `None` where there is none, as an array of a type made by `output_type`.

    Members that the schema does not name are dropped, those that an answer lacks are null.
    """
    shape = shape_of(type)
    return pa.array([shape(value) for value in values], type=type)


def shape_of(type: pa.DataType) -> Shape:
    """The conversion for one type. It raises `OverflowError` for a value that the column cannot hold."""
    if pa.types.is_struct(type):
        return _struct_shape([(field.name, _field_shape(field)) for field in type])
    if pa.types.is_list(type):
        return _list_shape(_field_shape(type.value_field))
    if pa.types.is_integer(type):
        return _to_int64
    if pa.types.is_floating(type):
        return _to_float64
    return _as_it_is


def _arrow_type(schema: Any, root: Mapping[str, Any], open_references: frozenset[str]) -> pa.DataType | None:
    """`None` stands for JSON text. `open_references` are being resolved: to meet one again is recursion."""
    if not isinstance(schema, Mapping):
        return None
    if isinstance(reference := schema.get("$ref"), str):
        if reference in open_references:
            return None
        return _arrow_type(resolve(root, reference), root, open_references | {reference})

    name = _type_name(schema)
    if name == "object":
        return _struct_type(schema, root, open_references)
    if name == "array":
        item = None if "prefixItems" in schema else _arrow_type(schema.get("items"), root, open_references)
        return pa.list_(_field("item", item))
    if name is not None:
        return _SCALARS.get(name)
    if (only := _only_alternative(schema)) is not None:
        return _arrow_type(only, root, open_references)

    return None


def _struct_type(
    schema: Mapping[str, Any], root: Mapping[str, Any], open_references: frozenset[str]
) -> pa.DataType | None:
    # Parquet has no struct without fields.
    properties: Mapping[str, Any] = schema.get("properties") or {}
    fields = [_field(name, _arrow_type(each, root, open_references)) for name, each in properties.items()]
    return pa.struct(fields) if fields else None


def _field(name: str, type: pa.DataType | None) -> pa.Field:
    return pa.field(name, pa.string(), metadata=JSON_TEXT) if type is None else pa.field(name, type)


def _type_name(schema: Mapping[str, Any]) -> str | None:
    """The one JSON type, apart from null, of all values the schema allows by `type`, `enum` or `const`."""
    if "type" in schema:
        stated = schema["type"]
        names = {stated} if isinstance(stated, str) else set(stated)
    elif "enum" in schema or "const" in schema:
        values = schema["enum"] if "enum" in schema else [schema["const"]]
        names = {_name_of(value) for value in values}
    else:
        return None
    names -= {"null"}
    if names == {"integer", "number"}:
        return "number"
    return names.pop() if len(names) == 1 else None


def _name_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
    return "any"


def _only_alternative(schema: Mapping[str, Any]) -> Any:
    """X of `anyOf: [X, null]`, or of an `anyOf`, `oneOf` or `allOf` of one."""
    combined = [schema[word] for word in ("anyOf", "oneOf", "allOf") if word in schema]
    if len(combined) != 1:
        return None
    found = [each for each in combined[0] if not (isinstance(each, Mapping) and each.get("type") == "null")]
    return found[0] if len(found) == 1 else None


def _field_shape(field: pa.Field) -> Shape:
    if field.metadata is not None and JSON_TEXT.items() <= field.metadata.items():
        return _to_json_text
    return shape_of(field.type)


def _struct_shape(members: list[tuple[str, Shape]]) -> Shape:
    def shape(value: Any) -> Any:
        if value is None:
            return None
        return {name: each(value.get(name)) for name, each in members}

    return shape


def _list_shape(item: Shape) -> Shape:
    def shape(value: Any) -> Any:
        return None if value is None else [item(each) for each in value]

    return shape


def _to_int64(value: Any) -> int | None:
    if value is None:
        return None
    integer = int(value)  # JSON schema counts 3.0 as an integer
    if not -MAX_INT64 - 1 <= integer <= MAX_INT64:
        raise OverflowError(f"the integer {value} does not fit into 64 bits")
    return integer


def _to_float64(value: Any) -> float | None:
    return None if value is None else float(value)


def _to_json_text(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:  # beyond 254 levels
        raise OverflowError("it is nested too deeply for a column of JSON text") from error


def _as_it_is(value: Any) -> Any:
    return value
