"""Stops a run once too large a share of its documents has failed."""

from __future__ import annotations

import threading

from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import TooManyFailures

LEAST_OUTCOMES = 100
"""With fewer outcomes a share means nothing."""


class ErrorShare:
    """The share of failures among the outcomes of this invocation. Thread-safe.

    Rows of earlier invocations do not count, or they would stop every later one.
    """

    def __init__(self, allowed: float, stop: StopFlag) -> None:
        self._allowed = allowed
        self._stop = stop
        self._ended = self._failed = 0
        self._lock = threading.Lock()

    @property
    def value(self) -> float | None:
        """From 0 to 1; `None` for fewer than `LEAST_OUTCOMES` outcomes."""
        with self._lock:
            return self._failed / self._ended if self._ended >= LEAST_OUTCOMES else None

    def count(self, ended: int, failed: int = 0, example: str = "") -> None:
        """Count outcomes; failures above the allowed share stop the run with an error that quotes `example`."""
        with self._lock:
            self._ended += ended
            self._failed += failed
        if failed:  # after the lock, which `value` takes too
            self._stop_above_allowed(example)

    def _stop_above_allowed(self, example: str) -> None:
        share = self.value
        if share is None or share <= self._allowed or self._stop.error is not None:
            return

        self._stop.set(
            TooManyFailures(
                f"{share:.0%} of {self._ended:,} documents failed, more than stop_error_share allows "
                f"({self._allowed:.0%}); {example}"
            )
        )
