"""One run's figures and stop signal in this process, while it goes on.

Chunks of one run may be worked on by many threads: all count here, and the first error stops them all.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from functools import reduce

from prefect_llm.progress.progress import RunProgress
from prefect_llm.progress.recent_rate import RecentRate
from prefect_llm.reuse.in_flight import RequestDeduplicator
from prefect_llm.store import ChunkStats, JournalEntry, RowFigures
from prefect_llm.system.stop_signal import StopSignal
from prefect_llm.values.errors import TooManyFailures
from prefect_llm.values.money import add_money
from prefect_llm.values.outcome import Outcome
from prefect_llm.values.price import Price

OUTCOMES_BEFORE_A_SHARE_COUNTS = 100
"""CONTRACT: the error share is judged after 100 outcomes."""
REMEMBERED_RUNS = 64


class RunTracker:
    """One invocation of a run in this process."""

    def __init__(self, rows: int, stop_error_share: float) -> None:
        self.stop = StopSignal()
        self._name = uuid.uuid4().hex
        self.asked_once = RequestDeduplicator()
        self._stop_error_share = stop_error_share
        self._figures = RunProgress(rows)
        self._pace = RecentRate()
        self._requests = self._retries = 0
        self._ended = self._ended_badly = 0
        self._under_way: dict[int, Callable[[], int]] = {}
        self._started = time.monotonic()
        self._lock = threading.Lock()

    @property
    def figures(self) -> RunProgress:
        """The figures as they stand."""
        with self._lock:
            figures, requests, retries = self._figures, self._requests, self._retries
        return replace(
            figures,
            requests=figures.requests + requests,
            retries=figures.retries + retries,
            seconds=time.monotonic() - self._started,
        )

    def paced(self, figures: RunProgress) -> RunProgress:
        """The figures at a look, with the pace of the last minute. Those of rows elsewhere are in them each time."""
        with self._lock:
            self._pace = self._pace.after(figures.seconds, figures.settled)
            return replace(figures, pace=self._pace)

    @property
    def error_share(self) -> float | None:
        """The share of failures among the outcomes of this invocation; `None` while they are too few to judge."""
        with self._lock:
            ended, badly = self._ended, self._ended_badly
        return badly / ended if ended >= OUTCOMES_BEFORE_A_SHARE_COUNTS else None

    @property
    def under_way(self) -> Mapping[int, int]:
        """The chunks that this process is asking, and how many of their rows have ended."""
        with self._lock:
            asking = dict(self._under_way)
        return {chunk: done() for chunk, done in asking.items()}

    @contextmanager
    def asking(self, chunk: int, done: Callable[[], int]) -> Iterator[None]:
        """While the block runs, the chunk is under way; `done` says how many of its rows have ended."""
        with self._lock:
            self._under_way[chunk] = done
        try:
            yield
        finally:
            with self._lock:
                self._under_way.pop(chunk, None)

    def priced_at(self, price: Price | None) -> None:
        """What is about to be asked costs this: the figures have its currency before the first answer."""
        with self._lock:
            if price is not None and self._figures.currency is None:
                self._figures = replace(self._figures, currency=price.currency)

    def sent(self, attempt: int) -> None:
        """Count one request; `attempt` is its document's, from 1."""
        with self._lock:
            self._requests += 1
            self._retries += attempt > 1

    def count(
        self,
        outcome: Outcome,
        cost: Decimal | None,
        price: Price | None,
        discarded: Sequence[Decimal | None] = (),
    ) -> None:
        """Take in one outcome; stop the run when too large a share has failed.

        `discarded` is what each of its answers cost that could not be used.
        """
        with self._lock:
            self._figures = self._figures.plus(outcome, cost, price, discarded)
            self._ended += 1
            self._ended_badly += not outcome.ok
        if outcome.failure is not None:
            self._stop_above_share(f"the last one: {outcome.failure.message}")

    def _stop_above_share(self, example: str) -> None:
        """The ended are counted apart from the figures: rows of earlier invocations would stop every later one."""
        share = self.error_share
        if share is not None and share > self._stop_error_share and self.stop.error is None:
            self.stop.set(
                TooManyFailures(
                    f"{share:.0%} of {self._ended:,} documents failed, more than stop_error_share allows "
                    f"({self._stop_error_share:.0%}); {example}"
                )
            )

    def restore(self, outcome: Outcome) -> None:
        """Count a document that an earlier attempt has finished: done, but not paid for now."""
        with self._lock:
            self._figures = self._figures.ended(outcome, 1)

    def ended_here(self, entries: Sequence[JournalEntry], new: Sequence[JournalEntry]) -> RowFigures:
        """What became of these rows, which are counted here, for the process that waits for their chunk."""
        rows = [entry.row for entry in entries]
        nothing: Decimal | None = Decimal(0)
        answers = [row.outcome.completion for row in rows if row.outcome.completion is not None]
        usages = [answer.usage for answer in answers if answer.usage is not None]
        costs = [row.cost for row in rows if row.outcome.completion is not None or row.cost is not None]
        costs += [cost for entry in entries for cost in entry.discarded_costs if cost is not None]
        return RowFigures(
            self._name,
            ok=sum(row.outcome.ok for row in rows),
            failed=sum(not row.outcome.ok for row in rows),
            input_tokens=sum(usage.input_tokens or 0 for usage in usages),
            output_tokens=sum(usage.output_tokens or 0 for usage in usages),
            cost=reduce(add_money, costs, nothing),
            currency=next((row.price.currency for row in rows if row.price is not None), None),
            failed_by_kind=Counter(str(row.outcome.failure.kind) for row in rows if row.outcome.failure is not None),
            new=len(new),
            new_failed=sum(not entry.row.outcome.ok for entry in new),
        )

    def take_over(self, chunk: ChunkStats) -> None:
        """Count what a chunk took in another process; one of this process is counted as it goes."""
        ended = chunk.ended
        if ended is None or ended.counted_in == self._name:
            return
        taken = RunProgress(
            rows=0,
            ok=ended.ok,
            failed=ended.failed,
            failed_by_kind=ended.failed_by_kind,
            input_tokens=ended.input_tokens,
            output_tokens=ended.output_tokens,
            cost=ended.cost,
            currency=ended.currency,
            requests=chunk.requests,
            retries=chunk.retries,
            throttled=chunk.throttled,
            settled=ended.new,
        )
        with self._lock:
            self._figures = self._figures.joined(taken)
            self._ended += ended.new
            self._ended_badly += ended.new_failed
        if ended.new_failed:
            kind, failed = max(taken.failed_by_kind.items(), key=lambda each: each[1])
            self._stop_above_share(f"{failed:,} of the last chunk by {kind}")

    def take_back(self, outcomes: Iterable[Outcome]) -> None:
        """Count documents out again whose chunk has no part: they are asked once more, here or elsewhere."""
        with self._lock:
            for outcome in outcomes:
                self._figures = self._figures.ended(outcome, -1)


class _Runs:
    """The runs this process works on, by invocation; the oldest are forgotten."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, RunTracker] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, invocation: str, make: Callable[[], RunTracker]) -> RunTracker:
        with self._lock:
            if invocation not in self._runs:
                self._runs[invocation] = make()
                while len(self._runs) > REMEMBERED_RUNS:
                    self._runs.popitem(last=False)
            return self._runs[invocation]


_runs = _Runs()


def run_tracker(invocation: str, rows: int, stop_error_share: float) -> RunTracker:
    """The live side of an invocation, made when this process first meets it."""
    return _runs.get(invocation, lambda: RunTracker(rows, stop_error_share))


@contextmanager
def watched(live: RunTracker, every_s: float, show: Callable[[RunProgress], None]) -> Iterator[None]:
    """While the block runs, `show` the figures at that interval, from a thread of its own."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(every_s):
            show(live.figures)

    thread = threading.Thread(target=watch, name="llm-figures", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
