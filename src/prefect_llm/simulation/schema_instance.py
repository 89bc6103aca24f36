"""Small instances of a JSON schema, so that a rehearsed pipeline's answers pass its own validation.

A search: each part of the schema offers values, small and usual ones first, and the check that answers must pass
takes the first that fits. Rules that a strict form has put into a description are read there, as a model does.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from functools import partial
from itertools import chain, count, islice
from typing import Any

import orjson
from referencing.exceptions import Unresolvable

from prefect_llm.prompts.answer_schema import validator_of
from prefect_llm.prompts.strict_schema import rules_in
from prefect_llm.simulation.asked import NoInstance
from prefect_llm.simulation.pattern_text import matching

MOST_STEPS = 10_000
"""Alternatives multiply: a maliciously slow schema must not block all other answers."""
_MOST_TRIED = 500
"""So many values of one part are tried."""
_VARIED = 20

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
_SYMBOLS = string.ascii_lowercase + string.digits + string.ascii_uppercase
_TYPES = ("null", "boolean", "integer", "string", "array", "object")

Entered = frozenset[str]
"""The references followed so far. A schema with an instance has one in which no reference recurs."""
Values = Iterator[Any]


class _GivenUp(NoInstance):
    """The search is too long."""


def minimal_instance(schema: Any) -> Any:
    """A small value that fits. Raises `NoInstance`."""
    try:
        return next(_Search(schema).values(schema, frozenset({"#"})))
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError, re.error) as error:
        raise NoInstance(f"not a JSON schema: {error}") from error
    except (StopIteration, RuntimeError, Unresolvable) as error:
        raise NoInstance(f"no value was found ({error})") from error


class _Search:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._validator = validator_of(root if isinstance(root, (dict, bool)) else True)
        self._steps = 0

    def values(self, schema: Any, entered: Entered) -> Values:
        """Those that fit, those of the first alternative first; raises `NoInstance` if there are none."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise _GivenUp("the schema has too many alternatives")
        if schema is False:
            raise NoInstance("the schema allows nothing")
        if not isinstance(schema, dict):
            schema = {}
        schema = schema | rules_in(schema.get("description"))

        fits = self._validator.evolve(schema=schema).is_valid
        found = False
        for value in islice(self._offered(schema, entered), _MOST_TRIED):
            if fits(value):
                found = True
                yield value
        if not found:
            raise NoInstance("no value was found that fits the schema")

    def _offered(self, schema: dict[str, Any], entered: Entered) -> Values:
        """Values that may fit."""
        if "const" in schema:
            return iter([schema["const"]])
        if schema.get("enum"):
            return iter(schema["enum"])
        if "$ref" in schema:
            return self._of_all([schema], {}, entered)

        for keyword in ("allOf", "anyOf", "oneOf"):
            if parts := schema.get(keyword):
                choices = [parts] if keyword == "allOf" else [[part] for part in parts]
                return self._of_any(choices, _without(schema, keyword), entered)
        if "if" in schema:
            rest = _without(schema, "if", "then", "else")
            choices = [[schema["if"], schema.get("then", True)], [schema.get("else", True)]]
            return self._of_any(choices, rest, entered)

        rules = schema.get("dependentSchemas", {})
        if held := [rules[name] for name in _required(schema) if name in rules]:
            return self._of_all(held, _without(schema, "dependentSchemas"), entered)

        kinds = schema.get("type", _implied_type(schema))
        kinds = [kinds] if isinstance(kinds, str) else kinds
        return self._first_of(partial(self._of_type, kind, schema, entered) for kind in kinds)

    def _of_any(self, choices: list[list[Any]], rest: dict[str, Any], entered: Entered) -> Values:
        return self._first_of(partial(self._of_all, parts, rest, entered) for parts in choices)

    def _first_of(self, makers: Iterable[Callable[[], Values]]) -> Values:
        """The values of all makers, one after the other; the last one's error if none has any."""
        failed: NoInstance | None = None
        found = False
        for make in makers:
            try:
                for value in make():
                    found = True
                    yield value
            except _GivenUp:
                raise
            except NoInstance as error:
                failed = error
        if failed is not None and not found:
            raise failed

    def _of_all(self, parts: Iterable[Any], rest: dict[str, Any], entered: Entered) -> Values:
        """The values of all parts and of what stands beside them."""
        merged: dict[str, Any] = {}
        for part in [*parts, rest]:
            while isinstance(part, dict) and "$ref" in part:
                reference = part["$ref"]
                if reference in entered:
                    raise NoInstance("the schema recurs without end")
                entered |= {reference}
                part = _both(self._referred(reference), _without(part, "$ref"))
            merged = _both(merged, part)
        return self.values(merged, entered)

    def _of_type(self, kind: str, schema: dict[str, Any], entered: Entered) -> Values:
        match kind:
            case "object":
                return self._objects(schema, entered)
            case "array":
                return self._arrays(schema, entered)
            case "string":
                return _strings(schema)
            case "integer" | "number":
                return _numbers(schema, whole=kind == "integer")
            case "boolean":
                return iter([False, True])
        return iter([None])

    def _objects(self, schema: dict[str, Any], entered: Entered) -> Values:
        """The required properties; then with other values; then with more properties."""
        names = _required(schema)
        others = _other_names(schema, names)
        names += list(islice(others, max(0, schema.get("minProperties", 0) - len(names))))
        base = {name: next(self.values(_property(schema, name), entered)) for name in names}
        yield base

        for name in names:
            for value in islice(self.values(_property(schema, name), entered), 1, _VARIED):
                yield base | {name: value}
        for name in islice(others, _VARIED):
            try:
                base = base | {name: next(self.values(_property(schema, name), entered))}
            except NoInstance:
                continue
            yield base

    def _arrays(self, schema: dict[str, Any], entered: Entered) -> Values:
        """As few items as may be; then other ones, then more."""
        fewest, contained = schema.get("minItems", 0), 0
        if "contains" in schema:
            contained = schema.get("minContains", 1)
            fewest = max(fewest, contained + len(schema.get("prefixItems", ())))
        most = min(schema.get("maxItems", math.inf), fewest + _VARIED)
        for length in range(fewest, int(most) + 1):
            for shift in range(_VARIED if length else 1):
                items = self._items(schema, length, contained, shift, entered)
                if items is None:
                    break
                yield items

    def _items(
        self, schema: dict[str, Any], length: int, contained: int, shift: int, entered: Entered
    ) -> list[Any] | None:
        """So many items, different ones if they must be; the last begins `shift` values later. `None`: no more."""
        prefix: list[Any] = schema.get("prefixItems", [])
        items: list[Any] = []
        for place in range(length):
            part = prefix[place] if place < len(prefix) else schema.get("items", True)
            if place >= length - contained:
                part = _both(part, schema["contains"])
            values: Values = islice(self.values(part, entered), shift if place == length - 1 else 0, None)
            if schema.get("uniqueItems"):
                taken = [orjson.dumps(each) for each in items]
                values = (value for value in values if orjson.dumps(value) not in taken)
            found = list(islice(values, 1))
            if not found:
                return None
            items += found
        return items

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


def _without(schema: dict[str, Any], *keywords: str) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name not in keywords}


def _both(first: Any, second: Any) -> Any:
    """A schema of what fits both: properties and requirements are merged, other keywords are the second's."""
    if not (isinstance(first, dict) and isinstance(second, dict)):
        return False if first is False or second is False else (first if isinstance(first, dict) else second)
    merged = first | second
    if "properties" in first and "properties" in second:
        shared = first["properties"].keys() & second["properties"].keys()
        both = {name: _both(first["properties"][name], second["properties"][name]) for name in shared}
        merged["properties"] = first["properties"] | second["properties"] | both
    if "required" in first and "required" in second:
        merged["required"] = [*dict.fromkeys([*first["required"], *second["required"]])]
    return merged


def _implied_type(schema: dict[str, Any]) -> tuple[str, ...]:
    """The types to try where none is stated: the one that the keywords are about first."""
    about = {
        "object": ("properties", "required", "minProperties", "patternProperties", "propertyNames"),
        "array": ("items", "prefixItems", "minItems", "contains", "uniqueItems"),
        "string": ("minLength", "maxLength", "pattern", "format"),
        "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    }
    first = [kind for kind, keywords in about.items() if any(keyword in schema for keyword in keywords)]
    return (*first, *(kind for kind in _TYPES if kind not in first))


def _required(schema: dict[str, Any]) -> list[str]:
    """The names that must be there, those that others bring with them too."""
    names = list(schema.get("required", ()))
    brought = {**schema.get("dependencies", {}), **schema.get("dependentRequired", {})}
    for name in names:
        more = brought.get(name, ())
        names += [each for each in more if each not in names] if isinstance(more, list) else []
    return names


def _other_names(schema: dict[str, Any], taken: list[str]) -> Iterator[str]:
    """Names that may be there: listed ones, ones of a pattern, and any."""
    patterns = [*schema.get("patternProperties", ())]
    rule = schema.get("propertyNames")
    if isinstance(rule, dict) and "pattern" in rule:
        patterns.append(rule["pattern"])
    listed = rule.get("enum", ()) if isinstance(rule, dict) else ()
    free = () if schema.get("additionalProperties") is False else (f"property{number}" for number in count(1))

    seen = set(taken)
    of_patterns = (
        text for pattern in patterns for text in islice(matching(pattern), 2 * _VARIED) if re.search(pattern, text)
    )
    for name in chain(schema.get("properties", ()), listed, of_patterns, free):
        if name not in seen:
            seen.add(name)
            yield name


def _property(schema: dict[str, Any], name: str) -> Any:
    """What a property of that name must fit."""
    parts = [part for pattern, part in schema.get("patternProperties", {}).items() if re.search(pattern, name)]
    listed = schema.get("properties", {})
    if name in listed:
        parts.append(listed[name])
    if not parts:
        return schema.get("additionalProperties", True)
    return parts[0] if len(parts) == 1 else {"allOf": parts}


def _strings(schema: dict[str, Any]) -> Iterator[str]:
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength")
    if schema.get("format") in _BY_FORMAT:
        yield _BY_FORMAT[schema["format"]]
    if "pattern" in schema:
        for text in matching(schema["pattern"]):
            yield from (text, text.ljust(shortest, "t"), text.rjust(shortest, "t"))
    yield _TEXT[:longest].ljust(shortest, "t")
    if "format" in schema:
        yield from _BY_FORMAT.values()
    for number in count():
        text = _SYMBOLS[number % len(_SYMBOLS)] * (1 + number // len(_SYMBOLS))
        yield text.rjust(shortest, "t")


def _numbers(schema: dict[str, Any], *, whole: bool) -> Iterator[float | int]:
    """0, then numbers near a bound, then all around."""
    lows = [schema[name] for name in ("minimum", "exclusiveMinimum") if name in schema]
    highs = [schema[name] for name in ("maximum", "exclusiveMaximum") if name in schema]
    step = _decimal(schema.get("multipleOf", 1))
    near = [bound for bound in (*lows, *highs) if not isinstance(bound, bool)] or [0]

    yield 0
    for far in range(_MOST_TRIED):
        for bound in near:
            nearest = int(_decimal(bound) // step)
            yield from (_number(step * (nearest + far), whole), _number(step * (nearest - far), whole))
        if far == 0 and not whole:
            yield from near
            yield from ((low + high) / 2 for low in lows for high in highs)


def _decimal(number: float) -> Decimal:
    """The number as it is written: 0.01 is no sum of halves."""
    return Decimal(repr(number))


def _number(value: Decimal, whole: bool) -> float | int:
    return int(value) if whole or value == value.to_integral_value() else float(value)
