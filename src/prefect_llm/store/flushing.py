"""Flushes this process's open journals at their interval, those that are due in parallel: a store may be slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from prefect_llm.store.journal import Journal, JournalEntry

FLUSHES_AT_ONCE = 16


class Flushed:
    """A journal that is flushed while it is open. A failed flush is raised by the next `append`, or by `close`."""

    def __init__(self, journal: Journal, every_s: float) -> None:
        self.due = time.monotonic() + every_s
        self._journal = journal
        self._every_s = every_s
        self._fault: Exception | None = None
        self._under_way = False

    def append(self, entry: JournalEntry) -> None:
        """Journal a row; raises what an earlier flush failed with."""
        if self._fault is not None:
            raise self._fault
        self._journal.append(entry)

    def close(self) -> None:
        """Flush for the last time; raises what an earlier flush failed with."""
        self._journal.close()
        if self._fault is not None:
            raise self._fault

    def begin(self, now: float) -> bool:
        """True if a flush is due and none is running."""
        if self.due > now:
            return False
        self.due = now + self._every_s  # also while one runs, or the thread would spin on a slow store
        begins, self._under_way = not self._under_way, True
        return begins

    def flush(self) -> None:
        """Flush, on a thread of the pool. Never raises: the error is kept for `append` and `close`."""
        try:
            self._journal.flush()
        except Exception as fault:
            self._fault = fault
        finally:
            self._under_way = False


class Flusher:
    """A thread that waits for the next due time, and a pool that flushes. Both end with the last open journal."""

    def __init__(self) -> None:
        self._open: set[Flushed] = set()
        self._changed = threading.Condition()
        self._running = False

    def add(self, journal: Flushed) -> None:
        """Flush it from now on."""
        with self._changed:
            self._open.add(journal)
            self._changed.notify()
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="llm-journals", daemon=True).start()

    def remove(self, journal: Flushed) -> None:
        """Stop flushing it."""
        with self._changed:
            self._open.discard(journal)
            self._changed.notify()

    def _run(self) -> None:
        with ThreadPoolExecutor(FLUSHES_AT_ONCE, thread_name_prefix="llm-flush") as pool:
            while (due := self._next_due()) is not None:
                for journal in due:
                    pool.submit(journal.flush)

    def _next_due(self) -> list[Flushed] | None:
        """Wait until some are due; `None` once no journal is open."""
        with self._changed:
            while self._open:
                now = time.monotonic()
                if due := [journal for journal in self._open if journal.begin(now)]:
                    return due
                self._changed.wait(min(journal.due for journal in self._open) - now)
            self._running = False
            return None


_flusher = Flusher()
"""The process's one flusher; it holds open journals only."""


@contextmanager
def flushed(journal: Journal, every_s: float) -> Iterator[Flushed]:
    """While the block runs, flush the journal every `every_s` seconds; then close it, which flushes too."""
    kept = Flushed(journal, every_s)
    _flusher.add(kept)
    try:
        yield kept
    finally:
        _flusher.remove(kept)  # first: nothing flushes a closed journal
        kept.close()
