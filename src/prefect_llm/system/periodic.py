"""One action at a steady interval, on a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Self

logger = logging.getLogger(__name__)


class Periodic:
    """Calls `do` every `every_s` seconds, on a daemon thread, from `start` to `close`. Also a context manager.

    The first call comes after the first interval; calls never overlap. A call that returns `False` is the last one.
    What `do` raises is logged, and does not end it.
    """

    def __init__(self, name: str, every_s: float, do: Callable[[], bool | None]) -> None:
        self._every_s = every_s
        self._do = do
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin. Once only."""
        self._thread.start()

    def wake(self) -> None:
        """Call `do` now, not at the end of the interval. Any thread; does not wait for it."""
        self._wake.set()

    def close(self) -> None:
        """End it. Returns when no call is running, at once if it is `do` that closes."""
        self._closed = True
        self._wake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._every_s)
            self._wake.clear()
            if self._closed or not self._goes_on():
                return

    def _goes_on(self) -> bool:
        try:
            return self._do() is not False
        except Exception:  # the thread serves the whole run, and no caller sees what it raises
            logger.exception("%s failed; it is tried again in %g s", self._thread.name, self._every_s)
            return True
