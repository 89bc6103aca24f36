"""SIGTERM in a flow run's process, as Prefect's runner sends it to cancel."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from prefect.exceptions import TerminationSignal


@contextmanager
def sigterm_raised() -> Iterator[None]:
    """While the block runs in the main thread, SIGTERM raises `TerminationSignal` there.

    Prefect has seen to that already, but Ray puts a handler of its own in the place, which aborts the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _raise(number: int, _: FrameType | None) -> None:
    raise TerminationSignal(signal=number)
