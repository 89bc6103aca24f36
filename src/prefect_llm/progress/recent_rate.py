"""How fast rows end lately: over the last minute, so that a slow start or a faster past is not taken for now."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from operator import itemgetter

WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class RecentRate:
    """What was seen at each look of the last minute: seconds since the start, and rows settled until then.

    Its first look is the newest that is a whole window old, or the start. Grows with looks, not with rows.
    """

    looks: tuple[tuple[float, int], ...] = ((0.0, 0),)

    def after(self, seconds: float, settled: int) -> RecentRate:
        """With one more look; one that is no later than the last changes nothing: threads look at the same time."""
        last, before = self.looks[-1]
        if seconds <= last:
            return self
        look = (seconds, max(settled, before))  # rows of a chunk elsewhere are away for a moment as it ends
        return RecentRate((*self.looks[self._first(seconds) :], look))

    def rows_per_second(self, seconds: float, settled: int) -> float:
        """Over the last minute; since the start before one has passed, since the last look where looks are rarer."""
        since, before = self.looks[self._first(seconds)]
        return max(settled - before, 0) / (seconds - since) if seconds > since else 0.0

    def _first(self, seconds: float) -> int:
        """The newest look that is a window old by then, else the first of all."""
        return max(bisect_right(self.looks, seconds - WINDOW_S, key=itemgetter(0)) - 1, 0)


SINCE_THE_START = RecentRate()
"""Before the first look."""
