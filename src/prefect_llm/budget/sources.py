"""Where a run's money comes from in this process: the log of its own budget and that of the month's.

Over several processes one may find nothing left while others have more set aside than their answers will cost. It
waits for them, as long as they are at work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from prefect_llm.budget.grants import Grant, GrantLog
from prefect_llm.values.money import ZERO

PATIENCE_S = 150.0
"""So long without an entry of the run's, longer than one attempt by default: the others were killed, or hang."""


@dataclass(frozen=True, slots=True)
class GrantSource:
    """A log, and what it may grant in all; `None` for any sum."""

    log: GrantLog
    limit: Decimal | None

    @property
    def granted(self) -> Decimal:
        """What counts as spent by now, to all together."""
        return self.log.total() or ZERO

    def leaves(self, last: Grant | None, amount: Decimal) -> bool:
        """Whether that much may be granted after that entry."""
        return self.limit is None or amount <= self.limit - (ZERO if last is None else last.total)


class GrantSources:
    """Grants from both funds, or from none. One call at a time; any of them raises `OSError` of its folder."""

    def __init__(
        self, run: GrantSource, month: GrantSource | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.run = run
        self.month = month
        self._now = now
        self._short = run
        self._seen: int | None = None
        self._since = 0.0

    @property
    def where(self) -> str:
        """The folder of the run's grants."""
        return self.run.log.where

    def grant(self, wanted: Decimal, least: Decimal) -> Decimal:
        """What is wanted, or what there is of it; 0 where that is nothing or under `least`. Durable on return."""
        for fund in self._both() if least else ():
            if not fund.leaves(fund.log.last(), least):
                self._short = fund
                return ZERO
        granted = self.run.log.grant(wanted, self.run.limit, least)
        if self.month is None or not granted:
            return granted
        of_month = ZERO
        try:
            of_month = self.month.log.grant(granted, self.month.limit, least)
        finally:
            self.run.log.give_back(granted - of_month)
        return of_month

    def leave(self, amount: Decimal) -> None:
        """Give back what is left of the grants: this process has nothing set aside."""
        for fund in self._both():
            fund.log.leave(amount)

    def may_hold(self, amount: Decimal) -> bool:
        """Whether that much is there after all in the fund that had too little, or may be given back by others."""
        last = self._short.log.last()
        others_hold = last is not None and self._short.log.others_hold(last)
        if not others_hold and not self._short.leaves(last, amount):
            return False
        number = -1 if last is None else last.number
        is_sign = self._seen is None or last is None or self._short.log.is_of_this_run(last)
        if number != self._seen and is_sign:
            self._since = self._now()
        self._seen = number
        return self._now() - self._since < PATIENCE_S

    def _both(self) -> list[GrantSource]:
        return [fund for fund in (self.run, self.month) if fund is not None]
