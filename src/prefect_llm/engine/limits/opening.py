"""How a run's first requests leave: few, then more with each answer, before there is anything to measure.

Sixteen at once at a server with one slow slot would wait longer for it than an attempt may last, and be sent again.
Pure in `now`, in seconds.
"""

from __future__ import annotations

import math

FIRST_SLOTS = 4
FAR_FROM_TIMEOUT = 1 / 3
"""An answer within this share of the longest an attempt may take leaves room for one more behind it."""
SERVED_SHARE = 0.5
"""Where fewer than this share of the slots are answered in the fastest answer's time, the rest wait for a turn."""


class Opening:
    """The slots until `enough` of them were earned."""

    def __init__(self, enough: int, timeout_s: float) -> None:
        self.slots = min(FIRST_SLOTS, enough)
        self._enough = enough
        self._timeout_s = timeout_s
        self._fastest_s = math.inf
        self._answered_at: list[float] = []

    @property
    def over(self) -> bool:
        """Whether there are enough."""
        return self.slots >= self._enough

    def answered(self, now: float, latency_s: float) -> None:
        """A good answer came: one more may be in flight, unless they queue and may come too late."""
        self._fastest_s = min(self._fastest_s, latency_s)
        behind_it_s = latency_s * (self.slots + 1) / self.slots
        in_time = behind_it_s <= FAR_FROM_TIMEOUT * self._timeout_s
        self._answered_at = [at for at in self._answered_at if at > now - self._fastest_s] + [now]
        side_by_side = len(self._answered_at) >= SERVED_SHARE * self.slots

        self.slots += in_time or side_by_side

    def throttled(self) -> None:
        """A 429 came: who says what is too much does not queue it, and few first requests only delay the rest."""
        self.slots = self._enough

    def timed_out(self) -> None:
        """An attempt timed out: so many are too many, at least one."""
        self.slots = max(self.slots - 1, 1)
