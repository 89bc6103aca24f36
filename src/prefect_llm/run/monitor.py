"""Alerts of a run: budget used up, many errors, a provider that is down or back.

A run is polled about once a second, so that requests pay nothing for it; `AlertRules.of` does no IO and returns
what is new. An outage that comes and goes between two looks is still reported: outages are counted.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from prefect_llm.engine import BreakerState, Engine, ProviderStatus, open_engine, open_engines
from prefect_llm.run.context import context_of
from prefect_llm.run.reference import RunReference
from prefect_llm.values.errors import BudgetExceeded
from prefect_llm.values.formatting import duration, money, plain_decimal
from prefect_llm.values.provider import Provider

BUDGET_PERCENTS = (50, 80, 100)
THROTTLED_ALERT_S, THROTTLED_AGAIN_S = 5.0, 60.0
"""Nothing but 429 for this long is told, and how often while it goes on."""


class EventName(StrEnum):
    """The names of events, without their prefix."""

    RUN_STARTED = "run.started"
    BUDGET_REACHED = "budget.reached"
    ERRORS_HIGH = "errors.high"
    BREAKER_OPENED = "breaker.opened"
    BREAKER_CLOSED = "breaker.closed"
    PROVIDER_THROTTLES = "provider.throttles"
    RUN_FINISHED = "run.finished"


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that happened: one sentence, and the payload of its event, money as strings."""

    what: EventName
    message: str
    payload: Mapping[str, Any] = field(default_factory=dict)

    @property
    def level(self) -> int:
        """How it is logged."""
        bad = (EventName.ERRORS_HIGH, EventName.BREAKER_OPENED, EventName.PROVIDER_THROTTLES)
        return logging.WARNING if self.what in bad else logging.INFO


@dataclass(frozen=True, slots=True)
class SpentBudget:
    """What is spent of `max_cost` by all attempts at the run, or of `max_cost_per_month` by all runs of the month."""

    of: Literal["run", "month"]
    spent: Decimal
    limit: Decimal
    currency: str

    @property
    def left(self) -> Decimal:
        """What is not spent."""
        return self.limit - self.spent

    def reaches(self, percent: int) -> bool:
        """Whether that much of it is spent."""
        return self.spent * 100 >= self.limit * percent


@dataclass(frozen=True, slots=True)
class Observed:
    """A run at one look. Shares are from 0 to 1; `error_share` is `None` while there are too few outcomes.

    With `exceeded` the run has stopped on its budgets: the one with the least left is used up.
    """

    error_share: float | None = None
    budgets: Sequence[SpentBudget] = ()
    exceeded: bool = False
    statuses: Sequence[ProviderStatus] = ()


class AlertRules:
    """Decides which alerts are new at each look. Errors above `alert_error_share` are reported once."""

    def __init__(self, alert_error_share: float) -> None:
        self._alert_error_share = alert_error_share
        self._told_errors = False
        self._told_percents: dict[str, set[int]] = {"run": set(), "month": set()}
        self._outages: dict[str, int] = {}
        self._open: set[str] = set()
        self._told_throttled_s: dict[str, float] = {}

    def of(self, seen: Observed) -> list[Alert]:
        """The alerts that were not due at the last look."""
        return [*self._spending(seen), *self._errors(seen), *self._breakers(seen), *self._throttling(seen)]

    def _spending(self, seen: Observed) -> Iterator[Alert]:
        """Only the largest new share: a resumed run with little left has reached the smaller ones long ago."""
        used_up = min(seen.budgets, key=lambda each: each.left, default=None) if seen.exceeded else None
        for budget in seen.budgets:
            told = self._told_percents[budget.of]
            reached = {percent for percent in BUDGET_PERCENTS if budget is used_up or budget.reaches(percent)}
            if new := reached - told:
                told |= reached
                yield _spent(budget, max(new), exceeded=budget is used_up)

    def _errors(self, seen: Observed) -> Iterator[Alert]:
        if self._told_errors or seen.error_share is None or seen.error_share <= self._alert_error_share:
            return
        self._told_errors = True
        yield Alert(
            EventName.ERRORS_HIGH,
            f"{seen.error_share:.0%} of documents fail, more than alert_error_share ({self._alert_error_share:.0%})",
            {"error_share": round(seen.error_share, 4), "alert_error_share": self._alert_error_share},
        )

    def _breakers(self, seen: Observed) -> Iterator[Alert]:
        for each in seen.statuses:
            name, outages = each.provider, each.outages
            if outages > self._outages.get(name, 0):
                self._outages[name] = outages
                if name in self._open:  # back and down again since the last look
                    yield _closed(each)
                self._open.add(name)
                yield _opened(each)
            if name in self._open and each.state is BreakerState.CLOSED:
                self._open.discard(name)
                yield _closed(each)

    def _throttling(self, seen: Observed) -> Iterator[Alert]:
        """Once a minute while a provider answers nothing but 429."""
        for each in seen.statuses:
            if each.throttled_s < THROTTLED_ALERT_S:
                self._told_throttled_s.pop(each.provider, None)
            elif each.throttled_s - self._told_throttled_s.get(each.provider, -math.inf) >= THROTTLED_AGAIN_S:
                self._told_throttled_s[each.provider] = each.throttled_s
                yield _throttles(each)


class RunMonitor:
    """Looks at a run of this process; without a provider, at all that this process asks."""

    def __init__(self, run: RunReference, provider: Provider | None, alert_error_share: float) -> None:
        self._run = run
        self._providers = None if provider is None else provider.routes
        self._rules = AlertRules(alert_error_share)
        self._granted = _granted(run)
        self._rules.of(self.seen())  # the state in which another run has left a provider is not news

    def news(self) -> list[Alert]:
        """What has happened since the last look."""
        return self._rules.of(self.seen())

    def seen(self) -> Observed:
        """The run now."""
        context = context_of(self._run)
        return Observed(
            error_share=context.tracker.error_share.value,
            budgets=self._budgets(),
            exceeded=isinstance(context.stop.error, BudgetExceeded),
            statuses=[engine.status for engine in self._engines()],
        )

    def _budgets(self) -> list[SpentBudget]:
        """What is granted so far if other processes spend too; else what was granted at the start plus spent here."""
        budget, account = self._run.budget, context_of(self._run).account
        if budget is None or account is None:
            return []

        here = account.spent
        if self._run.spread:
            here = Decimal(0)
            with suppress(OSError):  # a store that is away for a while: what was seen last
                self._granted = _granted(self._run)
        of_run, of_month = self._granted
        budgets = []
        if budget.max_cost is not None and of_run is not None:
            budgets.append(SpentBudget("run", of_run + here, budget.max_cost, budget.currency))
        if budget.max_cost_per_month is not None and of_month is not None:
            budgets.append(SpentBudget("month", of_month + here, budget.max_cost_per_month, budget.currency))
        return budgets

    def _engines(self) -> set[Engine]:
        """The open engines of the run's providers, each once."""
        if self._providers is None:
            return set(open_engines())
        return {engine for each in self._providers if (engine := open_engine(each)) is not None}


def _granted(run: RunReference) -> tuple[Decimal | None, Decimal | None]:
    account = context_of(run).account
    return (None, None) if account is None else (account.granted, account.granted_this_month)


def _spent(budget: SpentBudget, percent: int, *, exceeded: bool) -> Alert:
    name = "the budget" if budget.of == "run" else "this month's budget"
    spent, limit = money(budget.spent, budget.currency), money(budget.limit, budget.currency)
    told = f"{percent}% of {name} is used: {spent} of {limit}"
    if exceeded:
        told = f"{name} is used up: {spent} of {limit}, and the next request does not fit the rest"

    payload = {
        "percent": percent,
        "of": budget.of,
        "spent": plain_decimal(budget.spent),
        "budget": plain_decimal(budget.limit),
        "currency": budget.currency,
    }
    return Alert(EventName.BUDGET_REACHED, told, payload)


def _opened(by: ProviderStatus) -> Alert:
    told = (
        f"{by.base_url} fails ({by.fault}): nothing is sent but a probe now and then; "
        f"it is given up after {by.outage_limit_s:g} s without a success"
    )
    return Alert(EventName.BREAKER_OPENED, told, {"provider": by.provider})


def _throttles(by: ProviderStatus) -> Alert:
    told = (
        f"{by.base_url} has answered nothing but 429 for {duration(by.throttled_s)}, {by.throttled:,} times "
        f"({by.fault}): nothing is sent for another {duration(by.pause_s)}; it is given up after "
        f"{by.outage_limit_s:g} s without a success"
    )
    return Alert(EventName.PROVIDER_THROTTLES, told, {"provider": by.provider, "throttled": by.throttled})


def _closed(by: ProviderStatus) -> Alert:
    return Alert(EventName.BREAKER_CLOSED, f"{by.base_url} answers again", {"provider": by.provider})
