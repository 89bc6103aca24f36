"""Where a run's grants come from: the log of its own budget, and that of its month.

A process may find nothing left while others have reserved more than their answers will cost. It waits for them as
long as they show activity.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Self

from prefect_llm.budget.grants import Grant, GrantLog
from prefect_llm.system.folders import open_folder
from prefect_llm.values.budget import RunBudget
from prefect_llm.values.money import MONEY, ZERO

SILENCE_S = 150.0
"""Longer than an attempt takes by default. Without an entry of the run for so long, the others hang or have died."""


class GrantSources:
    """Draws every grant from both logs, or from neither. One call at a time.

    Every method raises `OSError` if a folder cannot be read or written.
    """

    def __init__(
        self,
        budget: RunBudget,
        run: GrantLog,
        month: GrantLog | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits: dict[GrantLog, Decimal | None] = {run: budget.max_cost}
        if month is not None:
            self._limits[month] = budget.max_cost_per_month
        self._run = run
        self._month = month
        self._now = now
        self._short = run
        self._last_number: int | None = None
        self._last_sign_at = 0.0

    @classmethod
    def open(cls, budget: RunBudget, run_folder_url: str, run_id: str) -> Self:
        """The logs of that run and of the budget's month."""
        run = GrantLog(open_folder(run_folder_url), budget.currency, run_id)
        if budget.max_cost_per_month is None:
            return cls(budget, run)
        month = GrantLog(open_folder(budget.month_folder), budget.currency, run_id, budget.month_prefix)
        return cls(budget, run, month)

    @property
    def where(self) -> str:
        """The URL below which the run's grants lie."""
        return self._run.where

    @property
    def granted(self) -> Decimal:
        """What all processes and attempts were granted of the run's budget and have not given back."""
        return self._run.total() or ZERO

    @property
    def granted_this_month(self) -> Decimal | None:
        """What all runs of the month were granted and have not given back; `None` without such a limit."""
        return None if self._month is None else self._month.total() or ZERO

    def count_earlier_spend(self, spent: Decimal) -> None:
        """Before an attempt begins, count what earlier ones have spent. They give nothing back any more."""
        self._run.count_earlier_spend(spent)
        if self._month is not None:
            self._month.drop_earlier_holders()

    def grant(self, wanted: Decimal, least: Decimal) -> Decimal:
        """Grant what is wanted, or what is left; 0 if that is less than `least`. Durable on return."""
        if least and (short := self._first_short_of(least)) is not None:
            self._short = short
            return ZERO

        granted = self._run.grant(wanted, self._limits[self._run], least)
        if self._month is None or not granted:
            return granted

        of_month = ZERO
        try:
            of_month = self._month.grant(granted, self._limits[self._month], least)
        finally:
            self._run.give_back(MONEY.subtract(granted, of_month))
        return of_month

    def give_back_rest(self, amount: Decimal) -> None:
        """Give back what is left of the grants: this process has nothing reserved."""
        for log in self._limits:
            log.give_back_rest(amount)

    def may_grant_later(self, amount: Decimal) -> bool:
        """Whether the log that had too little has the amount after all, or other processes may give it back."""
        last = self._short.last()
        others_hold = last is not None and self._short.others_hold(last)
        if not others_hold and not self._leaves(self._short, last, amount):
            return False

        number = -1 if last is None else last.number
        is_sign = self._last_number is None or last is None or self._short.is_of_this_run(last)
        if number != self._last_number and is_sign:
            self._last_sign_at = self._now()
        self._last_number = number
        return self._now() - self._last_sign_at < SILENCE_S

    def _first_short_of(self, amount: Decimal) -> GrantLog | None:
        return next((log for log in self._limits if not self._leaves(log, log.last(), amount)), None)

    def _leaves(self, log: GrantLog, last: Grant | None, amount: Decimal) -> bool:
        """Whether the amount may be granted after that entry."""
        limit, total = self._limits[log], ZERO if last is None else last.total
        return limit is None or amount <= MONEY.subtract(limit, total)
