"""Small instances of a JSON schema, so that a rehearsed pipeline's answers pass its own validation.

A search: each part of the schema offers values, small and usual ones first, and the check that answers must pass
takes the first that fits. Rules that a strict form has put into a description are read there, as a model does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import orjson
from referencing.exceptions import Unresolvable

from prefect_llm.prompts.answer_schema import validator_of
from prefect_llm.prompts.strict_schema import rules_in
from prefect_llm.simulation.asked import NoInstance
from prefect_llm.simulation.schema_keywords import (
    both,
    implied_type,
    other_names,
    property_schema,
    required_names,
    without,
)
from prefect_llm.simulation.schema_scalars import numbers, texts

MOST_STEPS = 10_000
"""Alternatives multiply: a maliciously slow schema must not block all other answers."""
_MOST_TRIED = 500
"""So many values of one part are tried."""
_VARIED = 20


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
                return self._of_any(choices, without(schema, keyword), entered)
        if "if" in schema:
            rest = without(schema, "if", "then", "else")
            choices = [[schema["if"], schema.get("then", True)], [schema.get("else", True)]]
            return self._of_any(choices, rest, entered)

        rules = schema.get("dependentSchemas", {})
        if held := [rules[name] for name in required_names(schema) if name in rules]:
            return self._of_all(held, without(schema, "dependentSchemas"), entered)

        kinds = schema.get("type", implied_type(schema))
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
                part = both(self._referred(reference), without(part, "$ref"))
            merged = both(merged, part)
        return self.values(merged, entered)

    def _of_type(self, kind: str, schema: dict[str, Any], entered: Entered) -> Values:
        match kind:
            case "object":
                return self._objects(schema, entered)
            case "array":
                return self._arrays(schema, entered)
            case "string":
                return texts(schema)
            case "integer" | "number":
                return numbers(schema, whole=kind == "integer")
            case "boolean":
                return iter([False, True])
        return iter([None])

    def _objects(self, schema: dict[str, Any], entered: Entered) -> Values:
        """The required properties; then with other values; then with more properties."""
        names = required_names(schema)
        others = other_names(schema, names)
        names += list(islice(others, max(0, schema.get("minProperties", 0) - len(names))))
        base = {name: next(self.values(property_schema(schema, name), entered)) for name in names}
        yield base

        for name in names:
            for value in islice(self.values(property_schema(schema, name), entered), 1, _VARIED):
                yield base | {name: value}
        for name in islice(others, _VARIED):
            try:
                base = base | {name: next(self.values(property_schema(schema, name), entered))}
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
                part = both(part, schema["contains"])
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
