"""`$ref` inside a JSON schema: only references within the schema itself are followed, nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

_LITERALS = frozenset({"const", "default", "enum", "examples"})
"""Keywords whose values are answers, not schemas."""
_NAMED_SCHEMAS = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
"""Keywords whose members are schemas under names the author chose, `$ref` perhaps among them."""
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def unresolvable_reference(schema: Mapping[str, Any]) -> str | None:
    """A sentence on the first reference that leaves the schema or leads nowhere; `None` if all are good."""
    anchors = {part[key] for part in _subschemas(schema) for key in ("$anchor", "$dynamicAnchor") if key in part}
    for part in _subschemas(schema):
        if part is not schema and isinstance(part.get("$id"), str):
            return f"an embedded $id ({part['$id']!r}) is not supported; refer to '#/$defs/...' instead"
        for reference in (part[key] for key in _REFERENCES if isinstance(part.get(key), str)):
            if not reference.startswith("#"):
                return f"$ref {reference!r} leaves the schema, and nothing is fetched; copy it into $defs"
            if reference[1:] not in anchors and resolve(schema, reference) is None:
                return f"$ref {reference!r} leads nowhere"
    return None


def resolve(schema: Mapping[str, Any], reference: str) -> Any:
    """What `#` or a JSON pointer (`#/$defs/Item`, RFC 6901) stands for; `None` if nothing or an anchor."""
    if reference == "#":
        return schema
    if not reference.startswith("#/"):
        return None

    found: Any = schema

    for token in unquote(reference[2:]).split("/"):
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None

    return found


def _subschemas(part: Any) -> Iterator[Mapping[str, Any]]:
    """Every object in the schema that is a schema itself, from the top."""
    if isinstance(part, list):
        for each in part:
            yield from _subschemas(each)
    elif isinstance(part, Mapping):
        yield part
        for keyword, value in part.items():
            if keyword in _NAMED_SCHEMAS and isinstance(value, Mapping):
                yield from _subschemas(list(value.values()))
            elif keyword not in _LITERALS:
                yield from _subschemas(value)
