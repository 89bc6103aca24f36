"""Where a run stands, as a frozen value: each outcome, and each part that another process counted, makes the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from prefect_llm.progress.recent_rate import SINCE_THE_START, RecentRate
from prefect_llm.values.formatting import cost_so_far, count, duration, rate
from prefect_llm.values.money import add_money
from prefect_llm.values.outcome import Outcome, Usage
from prefect_llm.values.price import Price

ALMOST_DONE_S = 1.0


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Where a run stands: rows of this process's invocation, and what they took so far.

    `settled` are the rows that ended in these `seconds`; those that an earlier attempt had ended are only done.
    """

    rows: int
    ok: int = 0
    failed: int = 0
    failed_by_kind: Mapping[str, int] = field(default_factory=dict)
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = Decimal(0)
    currency: str | None = None
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    settled: int = 0
    seconds: float = 0.0
    pace: RecentRate = SINCE_THE_START

    @property
    def done(self) -> int:
        """Rows that have ended, well or not."""
        return self.ok + self.failed

    @property
    def rows_per_second(self) -> float:
        """Of the last minute."""
        return self.pace.rows_per_second(self.seconds, self.settled)

    @property
    def seconds_left(self) -> float | None:
        """At the pace of the last minute; `None` where no row ended in it."""
        pace = self.rows_per_second
        return max(self.rows - self.done, 0) / pace if pace else None

    def plus(
        self,
        outcome: Outcome,
        cost: Decimal | None,
        price: Price | None,
        discarded: Sequence[Decimal | None] = (),
    ) -> RunProgress:
        """The figures with one more outcome, and what answers before it cost that could not be used."""
        usage = (outcome.completion and outcome.completion.usage) or Usage()
        spent = self.cost
        if outcome.completion is not None or cost is not None:
            spent = add_money(spent, cost)
        for each in discarded:
            spent = spent if each is None else add_money(spent, each)
        return RunProgress(  # `replace` is slower, and this is done for every row
            rows=self.rows,
            ok=self.ok + outcome.ok,
            failed=self.failed + (not outcome.ok),
            failed_by_kind=self._with(outcome, 1),
            input_tokens=self.input_tokens + (usage.input_tokens or 0),
            output_tokens=self.output_tokens + (usage.output_tokens or 0),
            cost=spent,
            currency=price.currency if price is not None else self.currency,
            requests=self.requests,
            retries=self.retries,
            throttled=self.throttled + outcome.throttled,
            settled=self.settled + 1,
            seconds=self.seconds,
            pace=self.pace,
        )

    def ended(self, outcome: Outcome, rows: int) -> RunProgress:
        """The figures with a row that ended at another time, or (-1) without it: nothing was paid for it now."""
        return replace(
            self,
            ok=self.ok + rows * outcome.ok,
            failed=self.failed + rows * (not outcome.ok),
            failed_by_kind=self._with(outcome, rows),
        )

    def joined(self, other: RunProgress) -> RunProgress:
        """The figures with those of rows elsewhere."""
        kinds = {*self.failed_by_kind, *other.failed_by_kind}
        return replace(
            self,
            ok=self.ok + other.ok,
            failed=self.failed + other.failed,
            failed_by_kind={
                each: self.failed_by_kind.get(each, 0) + other.failed_by_kind.get(each, 0) for each in kinds
            },
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost=add_money(self.cost, other.cost),
            currency=other.currency or self.currency,
            requests=self.requests + other.requests,
            retries=self.retries + other.retries,
            throttled=self.throttled + other.throttled,
            settled=self.settled + other.settled,
        )

    def _with(self, outcome: Outcome, rows: int) -> Mapping[str, int]:
        if outcome.failure is None:
            return self.failed_by_kind  # most of the time: no copy
        kind = str(outcome.failure.kind)
        changed = {**self.failed_by_kind, kind: self.failed_by_kind.get(kind, 0) + rows}
        return {name: number for name, number in changed.items() if number}


def line_of(figures: RunProgress) -> str:
    """One line for a log: `1,200 of 10,000 documents (3 failed), 41.0/s, 31,000 tokens, $0.12, 3 min left`."""
    parts = [f"{count(figures.done)} of {count(figures.rows)} documents"]
    if figures.failed:
        parts[0] += f" ({count(figures.failed)} failed)"
    parts += [
        f"{rate(figures.rows_per_second)}/s",
        f"{count(figures.input_tokens + figures.output_tokens)} tokens",
    ]
    if figures.throttled:
        parts.append(f"{count(figures.throttled)} throttled")
    if cost := cost_so_far(figures.cost, figures.currency):
        parts.append(cost)
    if (left := figures.seconds_left) and left < ALMOST_DONE_S:
        parts.append("almost done")
    elif left:
        parts.append(f"{duration(left)} left")
    return ", ".join(parts)
