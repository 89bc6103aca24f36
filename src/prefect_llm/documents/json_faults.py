"""What is wrong with a line that is no JSON, and what to do. Python's own reader knows more than the fast one."""

from __future__ import annotations

import json
import re
from typing import Any

_HALF_PAIR = re.compile(
    r"""(?<!\\)(?:\\\\)*(\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"""
    r"""|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"""
)
"""A `\\ud83d` without the `\\ude00` that makes a character of it, or the other way round."""
_NO_VALUE = re.compile(r"""-?\b(?:NaN|Infinity)\b""")


def what_is_wrong(line: bytes, error: Exception) -> str:
    """A sentence's end about a line that `error` refused: `is not valid JSON (column 8: ...): write null`."""
    try:
        text = line.decode()
    except UnicodeDecodeError as undecodable:
        return f"is not UTF-8 text (byte {undecodable.start + 1}): convert the file to UTF-8"
    column, what, remedy = _fault(text, error)
    place = f"column {column}: " if column else ""
    return f"is not valid JSON ({place}{what}): {remedy}"


def readable_part(line: bytes) -> dict[str, Any]:
    """The members of a refused line that can be read all the same, so that its row has its id."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    members = value.items() if isinstance(value, dict) else ()
    return {name: each for name, each in members if _is_readable(name) and _is_readable(each)}


def _is_readable(value: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode()) == value)
    except (ValueError, RecursionError):
        return False


def _fault(text: str, error: Exception) -> tuple[int, str, str]:
    """The column from 1 (0: not known), what is wrong there, and what to do."""
    found: list[str] = []
    try:
        json.loads(text, parse_constant=found.append)
    except json.JSONDecodeError as malformed:
        return malformed.colno, malformed.msg, "write one object a line"
    except RecursionError:
        return 0, str(error), "write one object a line"

    if found and (match := _NO_VALUE.search(_without_strings(text))):
        return match.start() + 1, f"{match[0]} is no value of JSON", "write null"
    if match := _HALF_PAIR.search(text):
        return match.start(1) + 1, f"{match[1]} is half a character", "write both halves, or \\ufffd"
    return 0, str(error), "write one object a line"


def _without_strings(text: str) -> str:
    """The line with blanks for its texts, in which NaN may be a word."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', lambda match: " " * len(match[0]), text)
