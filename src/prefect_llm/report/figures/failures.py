"""Which failures a run has, and one message that stands for most of them.

Messages may differ in every row (a request id, a position): a bounded number is kept per kind, the rarest are
forgotten, and memory does not grow with the number of failures.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

FAILURE_COLUMNS = ["error_kind", "error_status", "error_message"]
REMEMBERED = 200
"""Distinct (status, message) pairs kept per kind when a kind has `FORGET_ABOVE`."""
FORGET_ABOVE = 1_000
"""Messages that all differ, by an id in each, must not fill the memory."""


@dataclass(frozen=True, slots=True)
class FailureExample:
    """The most common failure of a kind. `count` rows at least have this very status and message."""

    kind: str
    status: int | None
    message: str
    count: int

    @property
    def cause(self) -> str:
        """`server_error 503: upstream overloaded`; the status once, though the message may begin with it."""
        if self.status is None:
            return f"{self.kind}: {self.message}"
        return f"{self.kind} {self.status}: {self.message.removeprefix(f'HTTP {self.status}: ')}"


class FailureCounts:
    """Failed rows by kind, and by status and message within a kind."""

    def __init__(self) -> None:
        self._by_kind: Counter[str] = Counter()
        self._messages: dict[str, Counter[tuple[int | None, str]]] = {}

    def add(self, failed: pa.Table) -> None:
        """Count a table of failed rows."""
        counts = failed.group_by(FAILURE_COLUMNS, use_threads=False).aggregate([([], "count_all")])
        for kind, status, message, count in zip(
            *(counts[name].to_pylist() for name in [*FAILURE_COLUMNS, "count_all"]), strict=True
        ):
            self._by_kind[kind] += count
            messages = self._messages.setdefault(kind, Counter())
            messages[status, message or ""] += count
            if len(messages) > FORGET_ABOVE:
                self._messages[kind] = Counter(dict(messages.most_common(REMEMBERED)))

    def by_kind(self) -> dict[str, int]:
        """How many rows failed of each kind, the commonest first."""
        return dict(sorted(self._by_kind.items(), key=lambda item: (-item[1], item[0])))

    def examples(self) -> tuple[FailureExample, ...]:
        """One example per kind, the kinds in the order of `by_kind`."""
        return tuple(self._example(kind) for kind in self.by_kind())

    def _example(self, kind: str) -> FailureExample:
        ((status, message), count) = self._messages[kind].most_common(1)[0]
        return FailureExample(kind, status, message, count)
