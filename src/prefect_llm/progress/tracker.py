"""Counts what one run does in this process. Chunks on many threads count here together."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal

from prefect_llm.progress.error_share import ErrorShare
from prefect_llm.progress.progress import RunProgress
from prefect_llm.progress.recent_rate import RecentRate
from prefect_llm.store import ChunkStats, EndedRows, JournalEntry, LostRequests
from prefect_llm.system.periodic import Periodic
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.outcome import Outcome
from prefect_llm.values.price import Price
from prefect_llm.values.request import Request
from prefect_llm.values.tally import RequestTally, Tally


@dataclass(slots=True)
class _AskedHere:
    """Requests as they leave and are throttled, before their documents end: counted without a new value for each."""

    sent: int = 0
    retries: int = 0
    throttled: int = 0

    def tally(self) -> RequestTally:
        return RequestTally(self.sent, self.retries, self.throttled)


class RunTracker:
    """Counts one run's rows, tokens and money in this process; too many failed rows stop the run. Thread-safe."""

    def __init__(self, rows: int, stop_error_share: float, stop: StopFlag) -> None:
        self.error_share = ErrorShare(stop_error_share, stop)
        self._name = uuid.uuid4().hex
        self._progress = RunProgress(rows)
        self._rate = RecentRate()
        self._lost = LostRequests()
        self._asked_here = _AskedHere()
        self._running_chunks: dict[int, Callable[[], int]] = {}
        self._started = time.monotonic()
        self._lock = threading.Lock()

    @property
    def progress(self) -> RunProgress:
        """How far the run has come."""
        with self._lock:
            progress, here = self._progress, self._asked_here.tally()
        return replace(
            progress,
            requests=progress.requests + here,
            seconds=time.monotonic() - self._started,
        )

    def with_rate(self, progress: RunProgress) -> RunProgress:
        """Add the rate of the last minute; `progress` includes the rows of other processes each time."""
        with self._lock:
            self._rate = self._rate.after(progress.seconds, progress.settled)
            return replace(progress, pace=self._rate)

    @property
    def running_chunks(self) -> Mapping[int, int]:
        """The chunks in work in this process, and how many of their rows have ended."""
        with self._lock:
            running = dict(self._running_chunks)
        return {chunk: ended() for chunk, ended in running.items()}

    @contextmanager
    def chunk_running(self, chunk: int, ended: Callable[[], int]) -> Iterator[None]:
        """While the block runs, the chunk counts as running; `ended` returns how many of its rows have ended."""
        with self._lock:
            self._running_chunks[chunk] = ended
        try:
            yield
        finally:
            with self._lock:
                self._running_chunks.pop(chunk, None)

    def priced_at(self, price: Price | None) -> None:
        """Note the price of what is about to be asked, so that the currency is known before the first answer."""
        with self._lock:
            if price is not None and self._progress.tally.currency is None:
                tally = self._progress.tally + Tally(currency=price.currency)
                self._progress = replace(self._progress, tally=tally)

    def sent(self, attempt: int) -> None:
        """Count one request; `attempt` is its document's, from 1."""
        with self._lock:
            self._asked_here.sent += 1
            self._asked_here.retries += attempt > 1

    def throttled(self, request: Request) -> None:
        """Count a 429 to a document that has not ended yet; its outcome counts them all."""
        with self._lock:
            self._asked_here.throttled += 1

    def lose(self, lost: LostRequests) -> None:
        """Count requests that were lost for documents that get no row now."""
        with self._lock:
            self._lost += lost

    @property
    def lost(self) -> LostRequests:
        """Those requests."""
        with self._lock:
            return self._lost

    def count(
        self,
        outcome: Outcome,
        cost: Decimal | None,
        price: Price | None,
        discarded: Sequence[Decimal | None] = (),
    ) -> None:
        """Count one outcome; stop the run if too large a share has failed.

        `discarded` is what each of its discarded answers cost.
        """
        with self._lock:
            self._progress = self._progress.plus(outcome, cost, price, discarded)
            self._asked_here.throttled = max(self._asked_here.throttled - outcome.throttled, 0)
        # not under the lock: it may stop the run, and a stop calls listeners
        if outcome.failure is None:
            self.error_share.count(ended=1)
        else:
            self.error_share.count(ended=1, failed=1, example=f"the last one: {outcome.failure.message}")

    def restore(self, outcome: Outcome) -> None:
        """Count a document that an earlier attempt has finished: done, but not paid for in this one."""
        with self._lock:
            self._progress = self._progress.plus_unpaid(outcome)

    def ended_here(self, entries: Sequence[JournalEntry], new: Sequence[JournalEntry]) -> EndedRows:
        """The totals of these rows, which are counted here, for the process that waits for their chunk."""
        tally = Tally()
        for entry in entries:
            tally = tally.plus(entry.row.outcome, entry.row.cost, entry.row.price, entry.discarded_costs)
        return EndedRows(self._name, tally, len(new), sum(not entry.row.outcome.ok for entry in new))

    def add_remote(self, chunk: ChunkStats) -> None:
        """Count a chunk of another process; one of this process has been counted row by row."""
        ended = chunk.ended
        if ended is None or ended.counted_in == self._name:
            return
        taken = RunProgress(0, ended.tally, chunk.requests, settled=ended.new)
        with self._lock:
            self._progress = self._progress.plus_remote(taken)

        example = ""
        if ended.new_failed:
            kind, failed = max(ended.tally.failed_by_kind.items(), key=lambda each: each[1])
            example = f"{failed:,} of the last chunk by {kind}"
        self.error_share.count(ended=ended.new, failed=ended.new_failed, example=example)

    def take_back(self, outcomes: Iterable[Outcome]) -> None:
        """Uncount the documents of a chunk that got no part: they will be asked again, here or elsewhere."""
        with self._lock:
            for outcome in outcomes:
                self._progress = self._progress.plus_unpaid(outcome, -1)


@contextmanager
def watched(tracker: RunTracker, every_s: float, show: Callable[[RunProgress], None]) -> Iterator[None]:
    """While the block runs, `show` the progress at that interval, from a thread of its own."""
    with Periodic("llm-progress", every_s, lambda: show(tracker.progress)):
        yield
