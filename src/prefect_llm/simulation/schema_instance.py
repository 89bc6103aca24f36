"""A minimal instance of a JSON schema, so that a rehearsed pipeline's answers pass its own validation.

Covers what language models are asked for: enum, const, required properties, arrays, alternatives, references, bounds.
`pattern`, `not`, `if`, `contains` and `uniqueItems` are met only by chance.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

MOST_STEPS = 10_000
"""Alternatives multiply: a maliciously slow schema must not block all other answers."""

_BY_FORMAT = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_TEXT = "text"
_GUESSES = (_TEXT, "a", "A", "0", "00", "000", "0000", "00000", "A-1", "AAA", "+10000000000", "#000000", "en-GB")

Entered = frozenset[str]
"""The references followed so far. A schema with an instance has one in which no reference recurs."""


class NoInstance(Exception):
    """No instance was found, or the schema recurs without end."""


def minimal_instance(schema: Any) -> Any:
    """A small value that fits. Raises `NoInstance`."""
    try:
        return _Search(schema).instance(schema, frozenset({"#"}))
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError, re.error) as error:
        raise NoInstance(f"not a JSON schema: {error}") from error


class _Search:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._steps = 0

    def instance(self, schema: Any, entered: Entered) -> Any:
        """The instance of the first alternative that has one."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise NoInstance("the schema has too many alternatives")
        if schema is False:
            raise NoInstance("the schema allows nothing")
        if not isinstance(schema, dict):
            return None
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        if "$ref" in schema:
            return self._of_all([schema], {}, entered)

        for keyword in ("allOf", "anyOf", "oneOf"):
            if parts := schema.get(keyword):
                rest = {name: value for name, value in schema.items() if name != keyword}
                choices = [parts] if keyword == "allOf" else [[part] for part in parts]
                return self._first_possible(choices, rest, entered)

        kind = schema.get("type", _implied_type(schema))
        if isinstance(kind, list):
            return self.instance({**schema, "type": kind[0]}, entered)

        return self._of_type(kind, schema, entered)

    def _of_all(self, parts: Iterable[Any], rest: dict[str, Any], entered: Entered) -> Any:
        """The instance of all parts and of what stands beside them."""
        merged: dict[str, Any] = {}
        for part in [*parts, rest]:
            while isinstance(part, dict) and "$ref" in part:
                reference = part["$ref"]
                if reference in entered:
                    raise NoInstance("the schema recurs without end")
                entered |= {reference}
                beside = {name: value for name, value in part.items() if name != "$ref"}
                part = _both(self._referred(reference), beside)
            merged = _both(merged, part)
        return self.instance(merged, entered)

    def _first_possible(self, choices: list[list[Any]], rest: dict[str, Any], entered: Entered) -> Any:
        for parts in choices[:-1]:
            try:
                return self._of_all(parts, rest, entered)
            except NoInstance:
                continue
        return self._of_all(choices[-1], rest, entered)

    def _of_type(self, kind: Any, schema: dict[str, Any], entered: Entered) -> Any:
        match kind:
            case "object":
                properties = schema.get("properties", {})
                return {name: self.instance(properties.get(name), entered) for name in schema.get("required", ())}
            case "array":
                return [self.instance(item, entered) for item in _items(schema)]
            case "string":
                return _string(schema)
            case "integer" | "number":
                return _number(schema, whole=kind == "integer")
            case "boolean":
                return False
        return None

    def _referred(self, reference: str) -> Any:
        """The schema at a JSON pointer into the same document (RFC 6901)."""
        if not reference.startswith("#"):
            raise NoInstance(f"the reference {reference!r} leads out of the schema")
        found = self._root
        for step in reference.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(name)] if isinstance(found, list) else found[name]
            except (KeyError, ValueError, IndexError) as error:
                raise NoInstance(f"the reference {reference!r} leads nowhere") from error
        return found


def _both(first: Any, second: Any) -> Any:
    """A schema of what fits both: properties and requirements are merged, other keywords are the second's."""
    if not (isinstance(first, dict) and isinstance(second, dict)):
        return False if first is False or second is False else (first if isinstance(first, dict) else second)
    merged = first | second
    if "properties" in first and "properties" in second:
        merged["properties"] = first["properties"] | second["properties"]
    if "required" in first and "required" in second:
        merged["required"] = [*dict.fromkeys([*first["required"], *second["required"]])]
    return merged


def _implied_type(schema: dict[str, Any]) -> str | None:
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else None


def _items(schema: dict[str, Any]) -> list[Any]:
    fewest: int = schema.get("minItems", 0)
    first: list[Any] = schema.get("prefixItems", [])[:fewest]
    return first + [schema.get("items")] * (fewest - len(first))


def _string(schema: dict[str, Any]) -> str:
    if schema.get("format") in _BY_FORMAT:
        return _BY_FORMAT[schema["format"]]
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength")
    text = _TEXT[:longest].ljust(shortest, "t")
    if (pattern := schema.get("pattern")) is None:
        return text
    guesses = (guess for guess in (text, *_GUESSES, *_BY_FORMAT.values()) if re.search(pattern, guess))
    return next(guesses, text)


def _number(schema: dict[str, Any], *, whole: bool) -> float | int:
    """0 if allowed, else an allowed number near a bound."""
    return next((number for number in _near_bounds(schema, whole) if _allowed(schema, number)), 0)


def _near_bounds(schema: dict[str, Any], whole: bool) -> Iterator[float | int]:
    yield 0
    step = schema.get("multipleOf") or 1
    lows = [schema[name] for name in ("minimum", "exclusiveMinimum") if name in schema]
    highs = [schema[name] for name in ("maximum", "exclusiveMaximum") if name in schema]
    for low in lows:
        yield from (math.ceil(low / step) * step, (math.floor(low / step) + 1) * step)
    for high in highs:
        yield from (math.floor(high / step) * step, (math.ceil(high / step) - 1) * step)
    if not whole:
        yield from [*lows, *highs, *((low + high) / 2 for low in lows for high in highs)]


def _allowed(schema: dict[str, Any], number: float) -> bool:
    return (
        schema.get("minimum", -math.inf) <= number <= schema.get("maximum", math.inf)
        and schema.get("exclusiveMinimum", -math.inf) < number < schema.get("exclusiveMaximum", math.inf)
        and (number / schema.get("multipleOf", 1) % 1 == 0 or "multipleOf" not in schema)
    )
