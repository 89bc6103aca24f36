"""What a JSON schema's keywords say of its values' parts: types, names, and what fits two schemas at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, count, islice
from typing import Any

from prefect_llm.simulation.pattern_text import matching

MOST_OF_A_PATTERN = 40
"""So many texts of one pattern are tried as names."""

_TYPES = ("null", "boolean", "integer", "string", "array", "object")


def without(schema: dict[str, Any], *keywords: str) -> dict[str, Any]:
    """The schema's other keywords."""
    return {name: value for name, value in schema.items() if name not in keywords}


def both(first: Any, second: Any) -> Any:
    """A schema of what fits both: properties and requirements are merged, other keywords are the second's."""
    if not (isinstance(first, dict) and isinstance(second, dict)):
        return False if first is False or second is False else (first if isinstance(first, dict) else second)
    merged = first | second
    if "properties" in first and "properties" in second:
        shared = first["properties"].keys() & second["properties"].keys()
        merged_ones = {name: both(first["properties"][name], second["properties"][name]) for name in shared}
        merged["properties"] = first["properties"] | second["properties"] | merged_ones
    if "required" in first and "required" in second:
        merged["required"] = [*dict.fromkeys([*first["required"], *second["required"]])]
    return merged


def implied_type(schema: dict[str, Any]) -> tuple[str, ...]:
    """The types to try where none is stated: the one that the keywords are about first."""
    about = {
        "object": ("properties", "required", "minProperties", "patternProperties", "propertyNames"),
        "array": ("items", "prefixItems", "minItems", "contains", "uniqueItems"),
        "string": ("minLength", "maxLength", "pattern", "format"),
        "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    }
    first = [kind for kind, keywords in about.items() if any(keyword in schema for keyword in keywords)]
    return (*first, *(kind for kind in _TYPES if kind not in first))


def required_names(schema: dict[str, Any]) -> list[str]:
    """The names that must be there, those that others bring with them too."""
    names = list(schema.get("required", ()))
    brought = {**schema.get("dependencies", {}), **schema.get("dependentRequired", {})}
    for name in names:
        more = brought.get(name, ())
        names += [each for each in more if each not in names] if isinstance(more, list) else []
    return names


def other_names(schema: dict[str, Any], taken: list[str]) -> Iterator[str]:
    """Names that may be there: listed ones, ones of a pattern, and any."""
    patterns = [*schema.get("patternProperties", ())]
    rule = schema.get("propertyNames")
    if isinstance(rule, dict) and "pattern" in rule:
        patterns.append(rule["pattern"])
    listed = rule.get("enum", ()) if isinstance(rule, dict) else ()
    free = () if schema.get("additionalProperties") is False else (f"property{number}" for number in count(1))

    seen = set(taken)
    of_patterns = (
        text
        for pattern in patterns
        for text in islice(matching(pattern), MOST_OF_A_PATTERN)
        if re.search(pattern, text)
    )
    for name in chain(schema.get("properties", ()), listed, of_patterns, free):
        if name not in seen:
            seen.add(name)
            yield name


def property_schema(schema: dict[str, Any], name: str) -> Any:
    """What a property of that name must fit."""
    parts = [part for pattern, part in schema.get("patternProperties", {}).items() if re.search(pattern, name)]
    listed = schema.get("properties", {})
    if name in listed:
        parts.append(listed[name])
    if not parts:
        return schema.get("additionalProperties", True)
    return parts[0] if len(parts) == 1 else {"allOf": parts}
