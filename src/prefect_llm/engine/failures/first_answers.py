"""Whether a run has had an answer yet, and how alike the refusals are that came before it.

What all requests of a run carry is at fault where the first of them are all refused in the same words; a single
document, where others are answered. Documents refused before the first answer wait for that to be known.
"""

from __future__ import annotations

import re
from weakref import WeakKeyDictionary, WeakSet

from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import Cause, Rejected, RequestError, Unavailable
from prefect_llm.values.outcome import ErrorKind

ALIKE = 10
"""So many documents refused in the same words, with no answer before them, are not at fault themselves."""
_NUMBERED = re.compile(r"\S*[0-9]\S*")
UNLIKE = 50
"""So many refused in different words are: what waits for an answer must not grow with the input."""

PASSING = frozenset({408, 409, 425, 499, 502, 503, 504, 520, 522, 524, 529})
"""A gateway's or an overload's: however many documents meet them, they refuse none."""


class FirstAnswers:
    """By run, known by its stop flag."""

    def __init__(self) -> None:
        self._answered: WeakSet[StopFlag] = WeakSet()
        self._greeted: WeakSet[StopFlag] = WeakSet()
        self._refused: WeakKeyDictionary[StopFlag, dict[str, set[str]]] = WeakKeyDictionary()

    def record(self, run: StopFlag) -> None:
        """A request of the run was answered, or documents were refused for reasons of their own."""
        if run not in self._answered:
            self._answered.add(run)
            self._refused.pop(run, None)

    def has(self, run: StopFlag) -> bool:
        """Whether a request of the run was answered."""
        return run in self._answered

    def greet(self, run: StopFlag) -> None:
        """The provider answers a probe: what failed before that may have been an outage."""
        self._greeted.add(run)
        self._refused.pop(run, None)

    def forget_refusals(self) -> None:
        """Forget them: nothing has been asked for a while."""
        self._refused.clear()
        self._greeted.clear()

    def may_be_shared(self, run: StopFlag, error: RequestError) -> bool:
        """Whether the error may be about what all requests of the run carry, or where they are sent."""
        return is_refusal(error) or error.cause is Cause.NOT_THE_API or (_is_fault(error) and run in self._greeted)

    def are_alike(self, run: StopFlag, document_id: str, error: RequestError) -> bool:
        """Count that document's refusal; whether there are now enough in the same words."""
        refused = self._refused.setdefault(run, {})
        alike = refused.setdefault(_words(error), set())
        if len(alike) < ALIKE:
            alike.add(document_id)
        if sum(map(len, refused.values())) >= UNLIKE:
            self.record(run)
        return len(alike) >= ALIKE


def is_refusal(error: RequestError) -> bool:
    """Whether it refuses a request without saying whose fault it is."""
    plain = error.cause in (None, Cause.NOT_THE_API)
    return isinstance(error, Rejected) and error.kind is ErrorKind.REJECTED and plain


def _is_fault(error: RequestError) -> bool:
    """Whether it may be a refusal in the words of a server's fault."""
    return isinstance(error, Unavailable) and not error.unreachable and error.status not in PASSING


def _words(error: RequestError) -> str:
    """What two refusals for the same reason have in common: numbers and request ids differ."""
    return f"{error.status} {error.code} {_NUMBERED.sub('0', error.message)}"
