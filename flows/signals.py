"""SIGTERM in a flow run's process: Prefect sends it to cancel, everyone else to have the process gone."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from prefect import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import Abort, TerminationSignal
from prefect.logging import get_run_logger

from prefect_llm.values.errors import reason_of
from prefect_llm.workers import reschedule


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


def ended_by(termination: TerminationSignal) -> BaseException:
    """What a flow raises after SIGTERM: `Abort` if its run is rescheduled, which leaves the state as it is.

    A deployment's run is rescheduled unless Prefect itself ordered the end: its state then says so already.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or context.flow_run.deployment_id is None:
        return termination
    try:
        with get_client(sync_client=True) as client:
            rescheduled = reschedule(client, context.flow_run.id)
    except Exception as fault:
        get_run_logger().warning("not rescheduled (%s): retry the run, and it continues", reason_of(fault))
        return termination
    return Abort("told to stop by SIGTERM, and rescheduled") if rescheduled else termination


def _raise(number: int, _: FrameType | None) -> None:
    raise TerminationSignal(signal=number)
