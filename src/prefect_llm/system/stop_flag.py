"""One run's stop flag in this process: the first error counts, and every listener is called."""

from __future__ import annotations

import threading
from collections.abc import Callable

from prefect_llm.values.errors import RunError


class StopFlag:
    """May be set from any thread. Once set it stays set: a resumed run has a new flag."""

    def __init__(self) -> None:
        # Re-entrant: a signal handler may interrupt its thread in here and stop the run.
        self._lock = threading.RLock()
        self._listeners: list[Callable[[], None]] = []
        self._error: RunError | None = None

    @property
    def error(self) -> RunError | None:
        """Why the run stops; `None` until it does."""
        return self._error

    def set(self, error: RunError) -> None:
        """Stop the run. A later error does not replace the first."""
        with self._lock:
            if self._error is not None:
                return
            self._error = error
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def check(self) -> None:
        """Raise the error that stops the run, if one does."""
        if self._error is not None:
            raise self._error

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` once when the run stops; at once if it has stopped already."""
        with self._lock:
            if self._error is None:
                self._listeners.append(listener)
                return
        listener()

    def forget(self, listener: Callable[[], None]) -> None:
        """Remove a listener."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)
