"""SIGINT and SIGTERM on the command line: the first stops the run in good order, the second leaves at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from prefect_llm.run.context import context_of
from prefect_llm.run.reference import RunReference
from prefect_llm.values.errors import Interrupted


@contextmanager
def stop_on_signals(run: RunReference) -> Iterator[list[int]]:
    """While the block runs, signals stop the run. Gives the list of signals received."""
    received: list[int] = []
    stop_flag = context_of(run).stop  # looked up before: a handler may run while its thread holds a lock

    def stop(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            os._exit(128 + number)
        name = signal.Signals(number).name
        stop_flag.set(Interrupted(f"{name}: finished rows are kept"))

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
