"""What OpenAI's strict mode refuses of a schema, in the words of its error.

https://platform.openai.com/docs/guides/structured-outputs, Supported schemas. Keywords that this page does not name
are refused; reported are `default`, `minLength`, `maxLength`, `uniqueItems` and `oneOf`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal

import orjson

MOST_PROPERTIES = 5_000
MOST_LEVELS = 10
MOST_ENUM_VALUES = 1_000

_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
_PERMITTED = frozenset(
    {"type", "title", "description", "enum", "const", "anyOf", "$ref", "$defs", "definitions"}
    | {"properties", "required", "additionalProperties", "items", "minItems", "maxItems", "pattern", "format"}
    | {"multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "$schema", "$id"}
)
Path = tuple[str, ...]
Strictness = Literal["openai", "none"]
"""Whose rules hold for a schema that asks to be strict."""


@lru_cache(maxsize=256)
def complaint_about(schema: bytes) -> str | None:
    """`complaint`, kept while the process lives: the requests of a run share a schema."""
    return complaint(orjson.loads(schema))


def complaint(schema: Any) -> str | None:
    """Why the schema is refused; `None` if it is not."""
    if not isinstance(schema, Mapping) or schema.get("type") != "object" or "anyOf" in schema:
        kind = schema.get("type") if isinstance(schema, Mapping) else None
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."

    properties = values = 0
    for path, part, level in _parts(schema, (), 1):
        if (wrong := _wrong(part)) is not None:
            return f"In context={path!r}, {wrong}"
        properties += len(part.get("properties", ()))
        values += len(part.get("enum", ()))
        if level > MOST_LEVELS:
            return f"In context={path!r}, the schema exceeds {MOST_LEVELS} levels of nesting."

    if properties > MOST_PROPERTIES:
        return f"the schema has {properties} properties, more than {MOST_PROPERTIES}."
    if values > MOST_ENUM_VALUES:
        return f"the schema has {values} enum values, more than {MOST_ENUM_VALUES}."
    return None


def _parts(part: Any, path: Path, level: int) -> Iterator[tuple[Path, Mapping[str, Any], int]]:
    """Every schema in the schema, with its place and how many objects and lists it is inside of."""
    if not isinstance(part, Mapping):
        yield path, {"type": part}, level
        return

    yield path, part, level
    for word in ("properties", "$defs", "definitions"):
        for name, inner in part.get(word, {}).items():
            yield from _parts(inner, (*path, word, name), level + 1 if word == "properties" else 1)
    if "items" in part:
        yield from _parts(part["items"], (*path, "items"), level + 1)
    for number, inner in enumerate(part.get("anyOf", ())):
        yield from _parts(inner, (*path, "anyOf", str(number)), level)


def _wrong(part: Mapping[str, Any]) -> str | None:
    """What is wrong with one schema, apart from those inside it."""
    if "$ref" in part and (beside := part.keys() - {"$ref", "$defs", "definitions"}):
        return f"$ref cannot have keywords {set(beside)!r}."
    if refused := next((name for name in part if name not in _PERMITTED), None):
        return f"'{refused}' is not permitted."
    if not part.keys() & {"type", "anyOf", "$ref"}:
        return "schema must have a 'type' key."

    names = part.get("type", ())
    names = (names,) if isinstance(names, str) else names
    if not isinstance(names, (list, tuple)):
        return "schema must have a 'type' key."
    if "object" in names:
        return _wrong_object(part)
    if "array" in names and "items" not in part:
        return "array schema missing items."
    if "format" in part and part["format"] not in _FORMATS:
        return f"'{part['format']}' is not a valid format."
    return None


def _wrong_object(part: Mapping[str, Any]) -> str | None:
    if part.get("additionalProperties") is not False:
        return "'additionalProperties' is required to be supplied and to be false."
    properties, required = part.get("properties", {}), part.get("required", [])
    missing = next((name for name in properties if name not in required), None)
    if missing is not None or not properties.keys() >= set(required):
        extra = next((name for name in required if name not in properties), missing)
        said = "Missing" if missing is not None else "Extra required key"
        return (
            "'required' is required to be supplied and to be an array including every key in properties. "
            f"{said} '{missing if missing is not None else extra}'."
        )
    return None
