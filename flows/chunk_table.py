"""The chunks of a run as a table: pending, running and how far, done. Of bounded length, however many there are."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping

from prefect_llm.run.reference import RunReference
from prefect_llm.store import ChunkStats
from prefect_llm.values.formatting import cost_so_far, count, counted, duration
from prefect_llm.values.tally import Tally

SHOWN_ENDED = 20
"""The last chunks to end have a row each; those before them share one."""
SHOWN_RUNNING = 30

Row = dict[str, str]


class ChunkTable:
    """Which chunks of a run have started and which have ended. Thread-safe."""

    def __init__(self, run: RunReference) -> None:
        self._run = run
        self._running: dict[int, None] = {}
        self._ended: deque[tuple[int, ChunkStats]] = deque(maxlen=SHOWN_ENDED)
        self._started_count = self._ended_count = 0
        self._lock = threading.Lock()

    def started(self, chunk: int) -> None:
        """The chunk's task run was submitted."""
        with self._lock:
            self._running[chunk] = None
            self._started_count += 1

    def ended(self, chunk: int, stats: ChunkStats | None) -> None:
        """The chunk's task run ended: with its part, or (`None`) without."""
        with self._lock:
            self._running.pop(chunk, None)
            if stats is not None:
                self._ended.append((chunk, stats))
                self._ended_count += 1

    @property
    def running(self) -> list[int]:
        """The chunks whose task runs have started and not ended."""
        with self._lock:
            return list(self._running)

    def rows(self, done_rows: Mapping[int, int]) -> list[Row]:
        """At most 53 rows: running chunks with their `done_rows`, the last ended ones, and one row for each rest."""
        with self._lock:
            running, ended = list(self._running), list(self._ended)
            ended_count, waiting = self._ended_count, len(self._run.pending) - self._started_count

        earlier = -(-self._run.rows // self._run.chunk_rows) - len(self._run.pending)
        rows = [self._running_row(chunk, done_rows.get(chunk)) for chunk in running[:SHOWN_RUNNING]]
        rows += _rest("running", len(running) - SHOWN_RUNNING, "more")
        rows += _rest("pending", waiting, "")
        rows += [self._ended_row(chunk, stats) for chunk, stats in reversed(ended)]
        rows += _rest("done", ended_count - len(ended), "before those")
        rows += _rest("done", earlier, "by an earlier attempt")
        return rows

    def _running_row(self, chunk: int, done: int | None) -> Row:
        rows = self._run.rows_of(chunk)
        return _row(str(chunk), rows, "running", done)

    def _ended_row(self, chunk: int, stats: ChunkStats) -> Row:
        rows, tally = self._run.rows_of(chunk), Tally() if stats.ended is None else stats.ended.tally
        return _row(str(chunk), rows, "done", len(rows)) | {
            "failed": count(tally.failed),
            "cost": cost_so_far(tally.cost, tally.currency),
            "requests": count(stats.requests.sent),
            "retries": count(stats.requests.retries),
            "throttled": count(stats.requests.throttled),
            "time": duration(stats.seconds),
        }


def _rest(state: str, chunks: int, which: str) -> list[Row]:
    return [_row(f"{counted(chunks, 'chunk')} {which}".strip(), None, state, None)] if chunks > 0 else []


def _row(chunk: str, rows: range | None, state: str, ended: int | None) -> Row:
    return {
        "chunk": chunk,
        "rows": "" if rows is None else f"{count(rows.start)}-{count(rows.stop - 1)}",
        "state": state,
        "ended": "" if rows is None or ended is None else f"{count(ended)} of {count(len(rows))}",
        "failed": "",
        "cost": "",
        "requests": "",
        "retries": "",
        "throttled": "",
        "time": "",
    }
