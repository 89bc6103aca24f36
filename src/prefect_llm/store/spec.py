"""Compares specs, the settings fixed for a run, as JSON: whether two are the same, and how they differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

SHOWN_CHARACTERS = 60
"""A longer value is cut around the first character that differs."""
_BEFORE_DIFFERENCE = 20
_UNSET = "not set"


def spec_fingerprint(spec: Mapping[str, Any]) -> str:
    """BLAKE2b of the spec's canonical JSON. A setting that is `None` counts as not set."""
    settings = {name: value for name, value in spec.items() if value is not None}
    return hashlib.blake2b(_canonical(settings).encode("ascii"), digest_size=16).hexdigest()


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One line for each setting that differs: `prompt: 'a' -> 'b'`, inner ones as `parameters.top_p`."""
    return [f"{name}: {_pair(before, after)}" for name, before, after in _changes(old, new, "")]


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any, Any]]:
    for key in [*old, *(key for key in new if key not in old)]:
        before, after, name = old.get(key), new.get(key), f"{prefix}{key}"
        if _canonical(before) == _canonical(after):
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _changes(before, after, f"{name}.")
        else:
            yield name, before, after


def _pair(before: Any, after: Any) -> str:
    one, other = _shown(before), _shown(after)
    start = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    first = min(len(one), len(other)) if start is None else start
    return f"{_around(one, first)} -> {_around(other, first)}"


def _shown(value: Any) -> str:
    if value is None:
        return _UNSET
    return repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _around(text: str, position: int) -> str:
    if len(text) <= SHOWN_CHARACTERS:
        return text
    start = max(0, min(position - _BEFORE_DIFFERENCE, len(text) - SHOWN_CHARACTERS))
    end = start + SHOWN_CHARACTERS
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
