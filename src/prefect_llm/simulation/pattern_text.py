"""Texts that a regular expression matches, short ones first, for the instances of a JSON schema.

The expression is read by Python's own parser. What looks around is passed over: the caller checks each text.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

MOST_TEXTS = 200
_MOST_REPEATS = 4_096
# Neighbours are of different kinds: a row of them has a letter of either case, a digit and a sign.
_ALPHABET = "aA0-bB1_cC2.dD3 " + string.printable[:95] + "éßДя中😀"


def matching(pattern: str) -> Iterator[str]:
    """Texts that most likely match; each has a little more of what may repeat, other alternatives, or an addition."""
    tree = parser.parse(pattern)
    for number in range(MOST_TEXTS):
        text = _Text(number).of(tree)
        yield text
        yield f"{text}{number}"


class _Text:
    """One text: `number` says how much may repeat, and which of several alternatives are taken."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._choices = 0
        self._groups: dict[int, str] = {}

    def of(self, tree: Iterable[tuple[Any, Any]]) -> str:
        """The parts one after the other."""
        return "".join(self._part(kind, value) for kind, value in tree)

    def _part(self, kind: Any, value: Any) -> str:
        if kind is op.LITERAL:
            return chr(value)
        if kind in (op.NOT_LITERAL, op.ANY, op.IN):
            return self._character(kind, value)
        if kind is op.BRANCH:
            return self.of(self._one_of(value[1]))
        if kind is op.SUBPATTERN:
            text = self.of(value[3])
            self._groups[value[0]] = text
            return text
        if kind is op.GROUPREF:
            return self._groups.get(value, "")
        if kind is op.ATOMIC_GROUP:
            return self.of(value)
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            fewest, most, inner = value
            times = min(most, fewest + self._number, max(fewest, _MOST_REPEATS))
            return "".join(self.of(inner) for _ in range(times))
        return ""

    def _character(self, kind: Any, value: Any) -> str:
        if kind is op.ANY:
            return str(self._one_of(_ALPHABET))
        if kind is op.NOT_LITERAL:
            return str(self._one_of([each for each in _ALPHABET if each != chr(value)]))
        fitting = [each for each in _ALPHABET if _in_class(each, value)]
        for named, bounds in value:  # a class may hold nothing of the alphabet
            if not fitting and named in (op.LITERAL, op.RANGE):
                fitting = [chr(bounds if named is op.LITERAL else bounds[0])]
        return str(self._one_of(fitting)) if fitting else ""

    def _one_of(self, options: Any) -> Any:
        """Another for each call and each text, those of the first text in order."""
        chosen = options[(self._number + self._choices) % len(options)]
        self._choices += 1
        return chosen


def _in_class(character: str, members: Iterable[tuple[Any, Any]]) -> bool:
    negated = found = False
    for kind, value in members:
        if kind is op.NEGATE:
            negated = True
        elif kind is op.LITERAL:
            found |= ord(character) == value
        elif kind is op.RANGE:
            found |= value[0] <= ord(character) <= value[1]
        elif kind is op.CATEGORY:
            found |= re.fullmatch(_CATEGORIES[value], character) is not None
    return found != negated


_CATEGORIES = {
    op.CATEGORY_DIGIT: r"\d",
    op.CATEGORY_NOT_DIGIT: r"\D",
    op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S",
    op.CATEGORY_WORD: r"\w",
    op.CATEGORY_NOT_WORD: r"\W",
}
