"""Jinja2 as this package speaks it: sandboxed, strict, for prompts instead of HTML.

What would differ from one rendering to the next (`random`, `lipsum`, a printed generator's address) is left
out: the same document must make the same request, or neither resume nor reuse could recognise it.
"""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Callable
from decimal import Decimal
from types import BuiltinMethodType
from typing import Any
from uuid import UUID

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from prefect_llm.prompts.field_values import Binary, MethodOverField, NotTextError, Null, is_null, plain

DEFAULT_FILTERS = frozenset({"default", "d"})
_PRINTABLE = (
    str,
    int,
    float,
    list,
    tuple,
    dict,
    jinja2.Undefined,  # raises by itself, with its own message
    Decimal,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    UUID,
)


def make_environment(null_as: str | None) -> jinja2.Environment:
    """An environment in which a null prints as `null_as`, or fails its rendering where that is `None`."""
    environment = _Environment(
        undefined=_Missing,
        autoescape=False,
        keep_trailing_newline=True,
        finalize=functools.partial(_printed, null_as=null_as),
    )
    del environment.globals["lipsum"], environment.filters["random"]
    guarded = {name: _refusing_nulls(each) for name, each in environment.filters.items()}
    environment.filters.update(guarded, tojson=_refusing_nulls(_to_json), default=_default, d=_default)
    environment.tests["none"] = is_null
    return environment


class _Environment(SandboxedEnvironment):
    """Says so where `{{ order.items }}` finds a dict's method in place of the field."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """As Jinja2's, but a method that hides a field may only be called."""
        found = super().getattr(obj, attribute)
        if isinstance(obj, dict) and attribute in obj and isinstance(found, BuiltinMethodType):
            return MethodOverField(obj, attribute, found)
        return found


class _Missing(jinja2.StrictUndefined):
    """Strict, and says so when what was missing is a member of a null field (`{{ meta.title }}`) or of a method."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        if isinstance(self._undefined_obj, (Null, MethodOverField)):
            return self._undefined_obj.complaint
        return super()._undefined_message


def _printed(value: Any, null_as: str | None) -> Any:
    """What `{{ value }}` prints; Jinja2 calls `str` on it."""
    if value.__class__ is str:
        return value
    if value is None:
        if null_as is None:
            raise NotTextError("the template prints a null; give null_as or a default")
        return null_as
    if not isinstance(value, (*_PRINTABLE, Null, Binary, MethodOverField)):
        raise NotTextError(f"the template prints a {type(value).__name__}, which is not text")
    return value


def _refusing_nulls(filter: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, refusing null and binary values whatever it would make of them (`items`, `int`)."""
    # Jinja2 hands the context or environment to some filters before the value, and marks those so.
    place = 1 if hasattr(filter, "jinja_pass_arg") else 0

    @functools.wraps(filter)
    def guarded(*arguments: Any, **options: Any) -> Any:
        value = arguments[place] if len(arguments) > place else None
        if isinstance(value, (Null, Binary, MethodOverField)):
            raise NotTextError(value.complaint)
        if isinstance(value, bytes):
            raise NotTextError("the template filters a binary value, which is not text")
        return filter(*arguments, **options)

    return guarded


def _default(value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    """Jinja2's `default`, which also replaces nulls."""
    if isinstance(value, jinja2.Undefined) or is_null(value) or (boolean and not value):
        return default_value
    return value


def _to_json(value: Any, indent: int | None = None) -> str:
    """Jinja2's `tojson` escapes for HTML and sorts the keys; a prompt wants the JSON as it is."""
    return json.dumps(plain(value), ensure_ascii=False, indent=indent, default=_json_text)


def _json_text(value: Any) -> str:
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID, datetime.timedelta)):
        return str(value)
    if isinstance(value, Binary):
        raise NotTextError(value.complaint)
    if isinstance(value, MethodOverField):
        raise NotTextError(value.complaint)
    raise NotTextError(f"a {type(value).__name__} cannot be written as JSON")
