"""What a run tells as soon as it is so: budget used up, many errors, a provider that is down or back.

Pure: whoever watches a run looks every second or so, and `Notices.of` says what is new in what was seen. So no
request costs anything, and what comes and goes between two looks is told all the same where it is counted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from prefect_llm.engine import BreakerState, Engine, Standing, open_engine, open_engines
from prefect_llm.errors import BudgetExceeded
from prefect_llm.records import Provider
from prefect_llm.report.figures_text import money, plain_decimal
from prefect_llm.run import Run, granted_to, spent_of

BUDGET_PERCENTS = (50, 80, 100)


class Happening(StrEnum):
    """The names of events, without their prefix."""

    RUN_STARTED = "run.started"
    BUDGET_REACHED = "budget.reached"
    ERRORS_HIGH = "errors.high"
    BREAKER_OPENED = "breaker.opened"
    BREAKER_CLOSED = "breaker.closed"
    RUN_FINISHED = "run.finished"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened: one sentence, and its figures as JSON has them, money as strings."""

    what: Happening
    message: str
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def level(self) -> int:
        """How it is logged."""
        bad = (Happening.ERRORS_HIGH, Happening.BREAKER_OPENED)
        return logging.WARNING if self.what in bad else logging.INFO


@dataclass(frozen=True, slots=True)
class Seen:
    """A run at one look. Shares are from 0 to 1; `error_share` is `None` while there are too few outcomes.

    `spent` of `budget`, over all attempts at the run; a run that the budget stopped has used it up.
    """

    error_share: float | None = None
    spent: Decimal | None = None
    budget: Decimal | None = None
    currency: str | None = None
    exceeded: bool = False
    standings: Sequence[Standing] = ()


class Notices:
    """What is new at each look; errors are high above `alert_error_share`, and that is told once."""

    def __init__(self, alert_error_share: float) -> None:
        self._alert_error_share = alert_error_share
        self._told_errors = False
        self._told_percents: set[int] = set()
        self._outages: dict[str, int] = {}
        self._open: set[str] = set()

    def of(self, seen: Seen) -> list[Notice]:
        """What was not so at the look before."""
        return [*self._budget(seen), *self._errors(seen), *self._breakers(seen)]

    def _budget(self, seen: Seen) -> Iterator[Notice]:
        """Only the largest share that is new: a run that goes on with little left reached the others long ago."""
        reached = {percent for percent in BUDGET_PERCENTS if _is_reached(percent, seen)}
        if new := reached - self._told_percents:
            self._told_percents |= reached
            yield _budget_notice(max(new), seen)

    def _errors(self, seen: Seen) -> Iterator[Notice]:
        if self._told_errors or seen.error_share is None or seen.error_share <= self._alert_error_share:
            return
        self._told_errors = True
        yield Notice(
            Happening.ERRORS_HIGH,
            f"{seen.error_share:.0%} of documents fail, more than alert_error_share ({self._alert_error_share:.0%})",
            {"error_share": round(seen.error_share, 4), "alert_error_share": self._alert_error_share},
        )

    def _breakers(self, seen: Seen) -> Iterator[Notice]:
        for each in seen.standings:
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


class Lookout:
    """Looks at a run of this process; without a provider, at all that this process asks."""

    def __init__(self, run: Run, provider: Provider | None, alert_error_share: float) -> None:
        self._run = run
        self._providers = None if provider is None else (provider, *provider.fallbacks)
        self._notices = Notices(alert_error_share)
        self._granted_before = granted_to(run)
        self._notices.of(self.seen())  # what another run has left of a provider is nothing new

    def news(self) -> list[Notice]:
        """What has happened since the last look."""
        return self._notices.of(self.seen())

    def seen(self) -> Seen:
        """The run now."""
        budget, spent = self._run.budget, spent_of(self._run)
        return Seen(
            error_share=self._run.live.error_share,
            spent=None if spent is None or self._granted_before is None else self._granted_before + spent,
            budget=None if budget is None else budget.max_cost,
            currency=None if budget is None else budget.currency,
            exceeded=isinstance(self._run.live.stop.error, BudgetExceeded),
            standings=[engine.standing for engine in self._engines()],
        )

    def _engines(self) -> set[Engine]:
        """Of two routes to the same provider one."""
        if self._providers is None:
            return set(open_engines())
        return {engine for each in self._providers if (engine := open_engine(each)) is not None}


def _is_reached(percent: int, seen: Seen) -> bool:
    if seen.exceeded:
        return True
    if seen.spent is None or not seen.budget:
        return False
    return seen.spent * 100 >= seen.budget * percent


def _budget_notice(percent: int, seen: Seen) -> Notice:
    figures: dict[str, Any] = {"percent": percent, "currency": seen.currency}
    if seen.spent is not None:
        figures["spent"] = plain_decimal(seen.spent)
    if seen.budget is None or seen.spent is None:
        return Notice(Happening.BUDGET_REACHED, "the budget is used up", figures)
    spent, budget = money(seen.spent, seen.currency), money(seen.budget, seen.currency)
    figures["budget"] = plain_decimal(seen.budget)
    if seen.exceeded:
        told = f"the budget is used up: {spent} of {budget}, and the next request does not fit the rest"
        return Notice(Happening.BUDGET_REACHED, told, figures)
    return Notice(Happening.BUDGET_REACHED, f"{percent}% of the budget is used: {spent} of {budget}", figures)


def _opened(by: Standing) -> Notice:
    told = (
        f"{by.base_url} fails ({by.fault}): nothing is sent but a probe now and then; "
        f"it is given up after {by.patience_s:g} s without a success"
    )
    return Notice(Happening.BREAKER_OPENED, told, {"provider": by.provider})


def _closed(by: Standing) -> Notice:
    return Notice(Happening.BREAKER_CLOSED, f"{by.base_url} answers again", {"provider": by.provider})
