"""How far a run has come, as a frozen value: each outcome makes a new one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from prefect_llm.progress.recent_rate import SINCE_THE_START, RecentRate
from prefect_llm.values.formatting import cost_so_far, count, duration, rate
from prefect_llm.values.outcome import Outcome
from prefect_llm.values.price import Price
from prefect_llm.values.tally import RequestTally, Tally

ALMOST_DONE_S = 1.0
"""With less left, the line would count milliseconds."""


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far an invocation has come: `rows` to do, the `tally` of those that have ended, the requests sent for them.

    `settled` rows ended in these `seconds`; rows from an earlier attempt are in the tally only.
    """

    rows: int
    tally: Tally = Tally()  # noqa: RUF009
    requests: RequestTally = RequestTally()  # noqa: RUF009
    settled: int = 0
    seconds: float = 0.0
    pace: RecentRate = SINCE_THE_START

    @property
    def done(self) -> int:
        """Rows that have ended, answered or failed."""
        return self.tally.ended

    @property
    def rows_per_second(self) -> float:
        """Over the last minute."""
        return self.pace.rows_per_second(self.seconds, self.settled)

    @property
    def seconds_left(self) -> float | None:
        """At the rate of the last minute; `None` if no row has ended in it."""
        pace = self.rows_per_second
        return max(self.rows - self.done, 0) / pace if pace else None

    def plus(
        self,
        outcome: Outcome,
        cost: Decimal | None,
        price: Price | None,
        discarded_costs: Sequence[Decimal | None] = (),
    ) -> RunProgress:
        """With one more ended row, and the cost of each of its discarded answers."""
        requests = self.requests
        if outcome.throttled or outcome.lost:
            requests += RequestTally(throttled=outcome.throttled, lost=outcome.lost)
        return RunProgress(  # `replace` is slower, and this is done for every row
            self.rows,
            self.tally.plus(outcome, cost, price, discarded_costs),
            requests,
            self.settled + 1,
            self.seconds,
            self.pace,
        )

    def plus_unpaid(self, outcome: Outcome, rows: int = 1) -> RunProgress:
        """With rows that an earlier attempt has paid for; `rows=-1` takes one out again."""
        return replace(self, tally=self.tally.plus_unpaid(outcome, rows))

    def plus_remote(self, other: RunProgress) -> RunProgress:
        """With the rows that another process has done."""
        return replace(
            self,
            tally=self.tally + other.tally,
            requests=self.requests + other.requests,
            settled=self.settled + other.settled,
        )


def line_of(progress: RunProgress) -> str:
    """One line for a log: `1,200 of 10,000 documents (3 failed), 41.0/s, 31,000 tokens, $0.12, 3 min left`."""
    figures = figures_of(progress)
    if (left := progress.seconds_left) and left < ALMOST_DONE_S:
        return f"{figures}, almost done"
    return f"{figures}, {duration(left)} left" if left else figures


def figures_of(progress: RunProgress) -> str:
    """The line without the time left."""
    tally = progress.tally
    parts = [f"{count(progress.done)} of {count(progress.rows)} documents"]
    if tally.failed:
        parts[0] += f" ({count(tally.failed)} failed)"

    parts += [f"{rate(progress.rows_per_second)}/s", f"{count(tally.tokens.total)} tokens"]
    if progress.requests.throttled:
        parts.append(f"{count(progress.requests.throttled)} throttled")
    if cost := cost_so_far(tally.cost, tally.currency):
        parts.append(cost)
    return ", ".join(parts)
