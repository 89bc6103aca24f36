"""Whether a run has had an answer yet, and how alike the refusals are that came before it.

What all requests of a run carry is at fault where the first of them are all refused in the same words; a single
document, where others are answered. Documents refused before the first answer wait for that to be known.
"""

from __future__ import annotations

import re
from weakref import WeakKeyDictionary, WeakSet

from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import RequestError

ALIKE = 10
"""So many documents refused in the same words, with no answer before them, are not at fault themselves."""
_NUMBERED = re.compile(r"\S*[0-9]\S*")
UNLIKE = 50
"""So many refused in different words are: what waits for an answer must not grow with the input."""


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

    def was_greeted(self, run: StopFlag) -> bool:
        """Whether the provider has answered a probe for the run."""
        return run in self._greeted

    def greet(self, run: StopFlag) -> None:
        """The provider answers a probe: what failed before that may have been an outage."""
        self._greeted.add(run)
        self._refused.pop(run, None)

    def forget_refusals(self) -> None:
        """Forget them: nothing has been asked for a while."""
        self._refused.clear()
        self._greeted.clear()

    def are_alike(self, run: StopFlag, document_id: str, error: RequestError) -> bool:
        """Count that document's refusal; whether there are now enough in the same words."""
        refused = self._refused.setdefault(run, {})
        alike = refused.setdefault(_words(error), set())
        if len(alike) < ALIKE:
            alike.add(document_id)
        if sum(map(len, refused.values())) >= UNLIKE:
            self.record(run)
        return len(alike) >= ALIKE


def _words(error: RequestError) -> str:
    """What two refusals for the same reason have in common: numbers and request ids differ."""
    return f"{error.status} {error.code} {_NUMBERED.sub('0', error.message)}"
