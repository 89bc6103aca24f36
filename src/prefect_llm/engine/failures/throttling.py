"""Whom a 429 is about: the account for a while, or one document that is larger than the account takes.

A limit that many meet lets some of those through later that it turned away. A document larger than the limit never
gets through, while others are answered. Pure in `now`, in seconds.
"""

from __future__ import annotations

from prefect_llm.engine.failures.recent_failures import OUTAGE_DOCUMENTS
from prefect_llm.engine.failures.retry import RetryCounts, TurnedAway

ACCOUNT_WINDOW_S = 60.0
"""Limits are counted by the minute: what is turned away after one in which others were answered, fits none."""
TRIES = 4
"""A document is turned away this many more times while others are answered, the last time after a whole window."""
CROWD_SHARE = 0.1
"""Share of answers that go to documents turned away before, above which many meet the limit."""
ALONE_TRIES = 2
"""From then on a document waits alone: the account takes the others."""


class Throttling:
    """One provider's 429s: `count` of them without a success since the first, which came at `since`.

    `in_a_row` is how many pauses of the whole provider they have led to.
    """

    def __init__(self) -> None:
        self.since: float | None = None
        self.count = 0
        self.in_a_row = 0
        self._answered = 0
        self._got_through = 0
        self._turned_away: set[str] = set()

    def succeeded(self, counts: RetryCounts) -> None:
        """A good answer came to a document."""
        self._got_through += counts.turned_away is not None
        self._turned_away.clear()
        self.probe_succeeded()

    def probe_succeeded(self) -> None:
        """What was answered before is answered again."""
        self._answered += 1
        self.since, self.count, self.in_a_row = None, 0, 0

    def probe_told_nothing(self, counts: RetryCounts) -> None:
        """What was asked in that document's place failed, though not by a 429: ask the document itself."""
        if counts.turned_away is not None:
            counts.turned_away.probed_in_vain = True

    def forget(self) -> None:
        """Nothing has been asked for a while."""
        self._turned_away.clear()
        self.since, self.count, self.in_a_row = None, 0, 0

    def throttled(self, now: float, document_id: str, counts: RetryCounts) -> bool:
        """A 429 came to that document; whether something was answered since the one before."""
        self.since = now if self.since is None else self.since
        self.count += 1
        if len(self._turned_away) < OUTAGE_DOCUMENTS:
            self._turned_away.add(document_id)

        seen = counts.turned_away
        if seen is None:
            counts.turned_away = TurnedAway(now, self._answered, self._got_through, self._answered)
            return True
        seen.probed_in_vain = False
        answered_since = self._answered > seen.answered_last
        if self._is_crowded(seen):
            counts.turned_away = TurnedAway(now, self._answered, self._got_through, self._answered)
        elif answered_since:
            seen.tries += 1
            seen.answered_last = self._answered
        return answered_since

    def fits_never(self, now: float, counts: RetryCounts) -> bool:
        """Whether the document was turned away often and long enough, others being answered."""
        seen = counts.turned_away
        return seen is not None and seen.tries >= TRIES and now - seen.since >= ACCOUNT_WINDOW_S

    def waits_alone(self, counts: RetryCounts) -> bool:
        """Whether its 429s are no reason for others to pause."""
        return counts.turned_away is not None and counts.turned_away.tries >= ALONE_TRIES

    def last_try_at(self, counts: RetryCounts) -> float:
        """Not before this instant is its last try; 0 while it has more."""
        seen = counts.turned_away
        return seen.since + ACCOUNT_WINDOW_S if seen is not None and seen.tries >= TRIES - 1 else 0.0

    def wants_probe(self, counts: RetryCounts) -> bool:
        """Whether nothing tells if the few documents that are turned away are at fault, or the account is."""
        seen = counts.turned_away
        if seen is None or seen.probed_in_vain or seen.answered_last != self._answered:
            return False
        if len(self._turned_away) >= OUTAGE_DOCUMENTS:
            return False
        return seen.tries > 0 or self.count >= ALONE_TRIES

    def _is_crowded(self, seen: TurnedAway) -> bool:
        got_through = self._got_through - seen.got_through_at_first
        return got_through > CROWD_SHARE * (self._answered - seen.answered_at_first)
