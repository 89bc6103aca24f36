"""One run's stop signal in this process: the first error wins, and everyone who asked to know is told."""

from __future__ import annotations

import threading
from collections.abc import Callable

from prefect_llm.values.errors import RunError


class StopFlag:
    """Set from any thread. Once set it stays set: a resumed run has a new one."""

    def __init__(self) -> None:
        # Re-entrant: a signal handler stops the run in whatever its thread is doing, this room included.
        self._lock = threading.RLock()
        self._listeners: list[Callable[[], None]] = []
        self._error: RunError | None = None

    @property
    def error(self) -> RunError | None:
        """Why the run stops; `None` while it goes on."""
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

    def listen(self, listener: Callable[[], None]) -> None:
        """Have `listener` called once when the run stops, at once if it has."""
        with self._lock:
            if self._error is None:
                self._listeners.append(listener)
                return
        listener()

    def forget(self, listener: Callable[[], None]) -> None:
        """Take a listener back."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)
