"""How the options and their values are spoken of, in --help and in errors: one phrase per kind of value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

import orjson

from prefect_llm.values.formatting import listed, one_line

MAX_SHOWN_CHARACTERS = 60

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class Wording:
    """Stands in a field's annotation: its placeholder in --help, and what it expects where the bounds do not say.

    A value that may be a secret is not `quoted` in an error.
    """

    metavar: str
    expected: str | None = None
    quoted: bool = True


def wording_of(annotation: Any, metadata: Iterable[Any] = ()) -> Wording | None:
    """The `Wording` in a field's metadata or in the members of its annotation."""
    return next(_wordings(annotation, metadata), None)


def _wordings(annotation: Any, metadata: Iterable[Any]) -> Iterator[Wording]:
    yield from (each for each in metadata if isinstance(each, Wording))
    for member in get_args(annotation):
        yield from _wordings(member, getattr(member, "__metadata__", ()))


def expected_by(schema: Mapping[str, Any]) -> str:
    """What the JSON schema of a field accepts, as the end of "expected …"."""
    bare = next((each for each in schema.get("anyOf", ()) if each.get("type") != "null"), schema)
    if given := [each for each in bare.get("enum", ()) if each is not None]:
        return listed([each if isinstance(each, str) else str(each).lower() for each in given], "or")
    if bare.get("type") == "boolean":
        return "true or false"
    if bare.get("type") in ("integer", "number"):
        noun = "a whole number" if bare["type"] == "integer" else "a number"
        return f"{noun}{_range(bare)}"
    return "text"


def _range(schema: Mapping[str, Any]) -> str:
    if "exclusiveMinimum" in schema:
        return f" above {schema['exclusiveMinimum']:g}"
    if "maximum" in schema:
        return f" from {schema['minimum']:g} to {schema['maximum']:g}"
    return f" of {schema['minimum']:g} or more" if "minimum" in schema else ""


def shown(value: Any) -> str:
    """A value as an error repeats it: short, on one line, without the credentials of a URL."""
    text = repr(value) if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return one_line(_CREDENTIALS.sub("***@", text), MAX_SHOWN_CHARACTERS)


def suggestion(name: str, names: Sequence[str], what: str) -> str:
    """The end of "there is no …": the name that was probably meant, else all of them."""
    if near := get_close_matches(name.lower(), names, n=1, cutoff=0.7):
        return f"did you mean {near[0]!r}?"
    return f"{what} {listed(names, 'and')}"
