"""What of a provider's answers tells an outage from documents that fail: how many of them fail, and since when."""

from __future__ import annotations

from collections import deque

OUTAGE_DOCUMENTS = 10
"""This many documents failing with no success between them are taken for an outage until a probe says otherwise
(`probe.py`); fewer may be their own fault."""
JUDGED_ATTEMPTS = 50
OPENING_SHARE = 0.8
"""Share of the last `JUDGED_ATTEMPTS` that failed, from which it opens although some succeed."""


class RecentFailures:
    """Those in a row, which began at `since` (seconds), and the share of the last attempts.

    `unreachable` says that the last one found no endpoint.
    """

    def __init__(self) -> None:
        self.since: float | None = None
        self.unreachable = False
        self._documents: set[str] = set()
        self._attempts: deque[bool] = deque(maxlen=JUDGED_ATTEMPTS)

    def __bool__(self) -> bool:
        """Whether something failed since the last success."""
        return bool(self._documents)

    @property
    def outage(self) -> bool:
        """Whether they are the provider's and not the documents': nothing succeeds, or no connection comes."""
        return self.unreachable or len(self._documents) >= OUTAGE_DOCUMENTS

    @property
    def too_many(self) -> bool:
        """Whether nothing more should leave: in an outage, and where hardly anything succeeds."""
        full = len(self._attempts) == JUDGED_ATTEMPTS
        return self.outage or (full and sum(self._attempts) >= OPENING_SHARE * JUDGED_ATTEMPTS)

    def add(self, now: float, document_id: str, *, unreachable: bool) -> None:
        """That document's attempt failed."""
        self.since = now if self.since is None else self.since
        if len(self._documents) < OUTAGE_DOCUMENTS:
            self._documents.add(document_id)
        self.unreachable = unreachable
        self._attempts.append(True)

    def end(self) -> None:
        """A good answer came."""
        self.forget()
        self._attempts.append(False)

    def forget(self) -> None:
        """Forget those in a row."""
        self._documents.clear()
        self.unreachable = False
        self.since = None

    def forget_attempts(self) -> None:
        """Judge the share by what comes from now on."""
        self._attempts.clear()
