"""A JSON schema in the subset that strict structured outputs take: OpenAI's, which other providers have taken over.

https://platform.openai.com/docs/guides/structured-outputs, Supported schemas. Every object lists its fields, all of
them required. A rule that the subset lacks goes into the description, where the model reads it. Answers are checked
against the schema as it was given, which allows all that this form does, but for those rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from prefect_llm.prompts.schema_references import resolve

Schema = dict[str, Any]

FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"},
)
MOST_PARTS = 5_000
"""OpenAI's limit of properties. Copies of what is referred to could multiply beyond it."""
_KEPT = frozenset(
    {"title", "description", "type", "enum", "const", "multipleOf", "minItems", "maxItems"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
)
_DEFINITIONS = ("$defs", "definitions")
_ANNOTATIONS = frozenset(
    {"$schema", "$id", "$comment", "default", "example", "examples", "deprecated", "readOnly", "writeOnly"}
    | {"discriminator", "title", "description"}
)
"""Say nothing of which values are right."""
_STRUCTURE = frozenset(
    {"$ref", "properties", "required", "additionalProperties", "items", "prefixItems", "anyOf", "oneOf", "allOf"}
    | {*_DEFINITIONS, "format", "pattern"}
)
_RULES = "rules: "
_LOOKING_AROUND = re.compile(r"\(\?<?[=!]|\\[1-9]")
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def strict_form(schema: Mapping[str, Any]) -> Schema | None:
    """The checked schema in the strict subset; `None` if it has values there is no such form for.

    Those are objects with names that are not listed, values of any type, and anchors.
    """
    try:
        strict = _Form(schema).of(dict(schema), frozenset())
    except (_NoForm, RecursionError):
        return None
    return strict if strict.get("type") == "object" and "anyOf" not in strict else None


class _NoForm(Exception):
    """A part of the schema has no strict form."""


class _Form:
    """Translates the parts of one schema. `inlined` are the references whose schemas a part stands inside of."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._parts = 0

    def of(self, part: Any, inlined: frozenset[str]) -> Schema:
        """One part of the schema."""
        self._parts += 1
        if not isinstance(part, Mapping) or self._parts > MOST_PARTS:
            raise _NoForm
        if "$ref" in part:
            return self._of_reference(part, inlined)
        if "allOf" in part:
            return self.of(self._merged(part), inlined)

        strict: Schema = {
            name: value for name, value in part.items() if name in _KEPT and not _of_draft_4(name, value)
        }
        if alternatives := self._alternatives(part, inlined):
            strict["anyOf"] = alternatives
        else:
            strict["type"] = _type_of(part)
        if "object" in _names(strict):
            strict |= self._of_object(part, inlined)
        if "array" in _names(strict):
            strict["items"] = self._of_items(part, inlined)
        for name in _DEFINITIONS:
            if name in part:
                strict[name] = {each: self.of(value, frozenset()) for each, value in part[name].items()}

        return strict | _of_text(part) | _described(strict, part)

    def _of_reference(self, part: Mapping[str, Any], inlined: frozenset[str]) -> Schema:
        """A reference stands alone; what stands beside it is put into a copy of what it refers to."""
        reference = part["$ref"]
        target = resolve(self._root, reference)
        if not isinstance(target, Mapping) or "$dynamicRef" in part:
            raise _NoForm

        beside = {name: value for name, value in part.items() if name != "$ref"}
        is_root = part.keys() & set(_DEFINITIONS)
        rules = {name for name in beside if name not in _ANNOTATIONS or name == "description"}
        if not rules or (reference in inlined and not is_root):
            return {"$ref": reference}
        return self.of({**target, **beside}, inlined | {reference})

    def _merged(self, part: Mapping[str, Any]) -> Schema:
        """All parts of an `allOf` in one, if no keyword but those of objects is in two of them."""
        merged: Schema = {}
        for each in [*part["allOf"], {name: value for name, value in part.items() if name != "allOf"}]:
            seen: set[str] = set()
            while isinstance(each, Mapping) and "$ref" in each and each["$ref"] not in seen:
                seen.add(each["$ref"])
                beside = {name: value for name, value in each.items() if name != "$ref"}
                each = {**(resolve(self._root, each["$ref"]) or {}), **beside}
            if not isinstance(each, Mapping):
                raise _NoForm
            for name, value in each.items():
                merged[name] = value if name not in merged else _both(name, merged[name], value)
        return merged

    def _alternatives(self, part: Mapping[str, Any], inlined: frozenset[str]) -> list[Schema]:
        found = [part[word] for word in ("anyOf", "oneOf") if word in part]
        if len(found) > 1 or (found and "properties" in part):
            raise _NoForm
        return [self.of(each, inlined) for each in found[0]] if found else []

    def _of_object(self, part: Mapping[str, Any], inlined: frozenset[str]) -> Schema:
        properties: Mapping[str, Any] = part.get("properties") or {}
        if not properties or isinstance(part.get("additionalProperties"), Mapping) or "patternProperties" in part:
            raise _NoForm
        if not set(part.get("required", ())) <= properties.keys():
            raise _NoForm
        return {
            "properties": {name: self.of(value, inlined) for name, value in properties.items()},
            "required": list(properties),
            "additionalProperties": False,
        }

    def _of_items(self, part: Mapping[str, Any], inlined: frozenset[str]) -> Schema:
        """One schema for all items; those of a tuple may each be any of its members."""
        items = [*part.get("prefixItems", ())]
        if isinstance(part.get("items"), Mapping) or not items:
            items.append(part.get("items"))
        strict: list[Schema] = []
        for each in items:
            if (form := self.of(each, inlined)) not in strict:
                strict.append(form)
        return strict[0] if len(strict) == 1 else {"anyOf": strict}


def _of_draft_4(name: str, value: Any) -> bool:
    """There a bound and whether it is exclusive are two keywords."""
    return name.startswith("exclusive") and isinstance(value, bool)


def _names(strict: Schema) -> tuple[str, ...]:
    stated = strict.get("type", ())
    return (stated,) if isinstance(stated, str) else tuple(stated)


def _type_of(part: Mapping[str, Any]) -> Any:
    """The stated type, or that of the values that are listed."""
    if "type" in part:
        return part["type"]
    if "properties" in part:
        return "object"
    if "items" in part or "prefixItems" in part:
        return "array"
    listed = part.get("enum", [part["const"]] if "const" in part else [])
    names = list(dict.fromkeys(_TYPES.get(type(value)) for value in listed))
    if not names or None in names:
        raise _NoForm
    return names[0] if len(names) == 1 else names


def _of_text(part: Mapping[str, Any]) -> Schema:
    kept: Schema = {}
    if part.get("format") in FORMATS:
        kept["format"] = part["format"]
    if "pattern" in part and not _LOOKING_AROUND.search(part["pattern"]):
        kept["pattern"] = part["pattern"]
    return kept


def _described(strict: Schema, part: Mapping[str, Any]) -> Schema:
    """The description with the rules that the form has lost."""
    lost = {
        name: value
        for name, value in part.items()
        if name not in _KEPT | _ANNOTATIONS | _STRUCTURE
        or (name in ("format", "pattern") and name not in _of_text(part))
        or name == "prefixItems"
    }
    if not lost:
        return {}
    rules = f"{_RULES}{orjson.dumps(lost).decode()}"
    return {"description": f"{strict['description']}; {rules}" if strict.get("description") else rules}


def rules_in(description: Any) -> Schema:
    """The rules that `strict_form` has put at the end of a description, where a model reads them."""
    _, found, rules = description.rpartition(_RULES) if isinstance(description, str) else ("", "", "")
    if not found:
        return {}
    try:
        read = orjson.loads(rules)
    except orjson.JSONDecodeError:
        return {}
    return read if isinstance(read, dict) else {}


def _both(name: str, first: Any, second: Any) -> Any:
    if name == "properties" and not first.keys() & second.keys():
        return {**first, **second}
    if name == "required":
        return [*first, *(each for each in second if each not in first)]
    if name in _ANNOTATIONS or first == second:
        return second
    raise _NoForm
