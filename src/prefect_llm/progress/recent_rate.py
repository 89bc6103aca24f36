"""How fast rows have ended in the last minute, so that a slow start or a faster past does not distort the rate."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from operator import itemgetter

WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class RecentRate:
    """The looks of the last minute: seconds since the start, and rows settled by then.

    The first is the newest look that is a whole window old, or the start. Memory grows with looks, not with rows.
    """

    looks: tuple[tuple[float, int], ...] = ((0.0, 0),)

    def after(self, seconds: float, settled: int) -> RecentRate:
        """With one more look. One that is not later than the last changes nothing: several threads look."""
        last, before = self.looks[-1]
        if seconds <= last:
            return self
        look = (seconds, max(settled, before))  # another process's rows drop out for a moment as their chunk ends
        return RecentRate((*self.looks[self._first(seconds) :], look))

    def rows_per_second(self, seconds: float, settled: int) -> float:
        """Over the last minute; since the start if that is shorter, since the last look if looks are rarer."""
        since, before = self.looks[self._first(seconds)]
        return max(settled - before, 0) / (seconds - since) if seconds > since else 0.0

    def _first(self, seconds: float) -> int:
        """The index of the newest look that is a window old by then, else 0."""
        return max(bisect_right(self.looks, seconds - WINDOW_S, key=itemgetter(0)) - 1, 0)


SINCE_THE_START = RecentRate()
"""Before the first look."""
