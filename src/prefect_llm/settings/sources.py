"""What flags and environment variables give, and where it came from. Values are text; the sections validate them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import orjson

from prefect_llm.settings.messages import shown, suggestion
from prefect_llm.settings.options import PREFIX, Option, options
from prefect_llm.settings.value_types import NO_SECRET, is_api_key
from prefect_llm.values.errors import InvalidInput

PARAM = "param"
HEADER = "header"
PAIRS = frozenset({PARAM, HEADER})
"""Options of several values, each with a name."""
_NO_OPTIONS = frozenset({f"{PREFIX}CACHE", f"{PREFIX}PICTURES"})
"""Where the demo's model is kept, and where the tests keep pictures."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One option's value from one source. `origin` begins every sentence about it."""

    option: Option
    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Source:
    """Everything one source gives, and a sentence for each part of it that could not be read."""

    given: Sequence[Setting] = ()
    problems: Sequence[str] = ()


def from_flags(flags: Mapping[str, Any]) -> Source:
    """What the command line gives, by the options' keys; `None` is not given."""
    given, problems = [], []
    for key, value in flags.items():
        option = options().get(key)
        if value is None:
            continue
        if option is None:
            problems.append(f"there is no option {key!r}: {suggestion(key, list(options()), 'there are')}")
            continue
        try:
            parsed = _read_pairs(key, value) if key in PAIRS and not isinstance(value, Mapping) else value
        except InvalidInput as error:
            problems.append(error.message)
            continue
        given.append(Setting(option, parsed, option.flag))

    return Source(given, problems)


def from_environment(environ: Mapping[str, str]) -> Source:
    """What the variables give. An empty one counts as not set, other programs' names are none of ours."""
    given, problems = [], []
    for key, option in options().items():
        text = environ.get(option.variable)
        if not text:
            continue
        origin = f"environment {option.variable}"
        value: Any = text
        if key in PAIRS:
            value = _json_or_none(text)
            if not isinstance(value, dict):
                problems.append(f"{origin}: expected a JSON object of {option.expected}")
                continue
        given.append(Setting(option, value, origin))

    return Source(given, problems)


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that is spelled as one of ours and sets nothing: no refusal, others may use it.

    Names that end in KEY are skipped: `api_key_env` may name any variable.
    """
    known = {option.variable for option in options().values()} | _NO_OPTIONS
    return [
        f"environment {name} sets nothing: {_meant(name, known)}"
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in known and not name.endswith("KEY")
    ]


def _meant(name: str, known: Iterable[str]) -> str:
    names = [each.removeprefix(PREFIX) for each in known]
    near = get_close_matches(name.removeprefix(PREFIX), names, n=1, cutoff=0.7)
    return f"did you mean {PREFIX}{near[0]}?" if near else "no option goes by that name there"


def _read_pairs(key: str, pairs: Sequence[str]) -> dict[str, Any]:
    return _parameters(pairs) if key == PARAM else _headers(pairs)


def _headers(pairs: Sequence[str]) -> dict[str, str]:
    """`NAME=VARIABLE`, any number of times. Raises `InvalidInput`, which repeats nothing that may be a secret."""
    found: dict[str, str] = {}
    problems = []
    for pair in pairs:
        name, equals, variable = pair.partition("=")
        if not equals or not name.strip():
            problems.append("--header: expected NAME=VARIABLE, for instance --header x-tenant=TENANT")
        elif name.strip().lower() in found:
            problems.append(f"--header {name.strip()}: given twice")
        else:
            found[name.strip().lower()] = variable.strip()

    if problems:
        raise InvalidInput("\n".join(problems))
    return found


def _parameters(pairs: Sequence[str]) -> dict[str, Any]:
    """`NAME=JSON`, any number of times. Raises `InvalidInput` with a sentence per pair that is not."""
    found: dict[str, Any] = {}
    problems = []
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.strip()
        if not equals or not name:
            problems.append(f"--param {pair}: expected NAME=JSON, for instance --param seed=7")
        elif is_api_key(name):
            problems.append(f"--param {name}: {NO_SECRET}")
        elif name in found:
            problems.append(f"--param {name}: given twice")
        else:
            try:
                found[name] = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                problems.append(_not_json(name, text, error))

    if problems:
        raise InvalidInput("\n".join(problems))
    return found


def _not_json(name: str, text: str, error: orjson.JSONDecodeError) -> str:
    """A bare word most probably wants quotes, which the shell must leave alone; brackets want correcting."""
    if text.lstrip().startswith(("{", "[", '"')):
        return f"--param {name}: not JSON ({error}), got {shown(text)}"
    quoted = shlex.quote(f"{name}={orjson.dumps(text).decode()}")
    return f"--param {name}={text}: not JSON; write --param {quoted}"


def _json_or_none(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
