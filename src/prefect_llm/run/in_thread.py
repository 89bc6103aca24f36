"""Runs and event loops: a call that blocks until its run has ended belongs into a thread, where it can be awaited."""

from __future__ import annotations

import asyncio
import builtins
import contextvars
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import Interrupted, InvalidInput

P = ParamSpec("P")
R = TypeVar("R")

_caller: contextvars.ContextVar[StopFlag | None] = contextvars.ContextVar("caller", default=None)
"""Stops what is begun within an awaited call; threads that Prefect starts in it have its context."""


async def in_thread(call: Callable[P, R], /, *args: P.args, **options: P.kwargs) -> R:
    """Await `call(*args, **options)` in a thread of its own: a flow or task of this package, or of yours around them.

    Returns what it returns and raises what it raises. If the await is cancelled, the runs that the call works on stop
    as at a signal, within about 10 s, and can be resumed; then `asyncio.CancelledError` is raised.
    """
    stop, context = StopFlag(), contextvars.copy_context()
    context.run(_caller.set, stop)

    with ThreadPoolExecutor(1, thread_name_prefix="llm-call") as pool:
        working = asyncio.get_running_loop().run_in_executor(pool, partial(context.run, call, *args, **options))
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            stop.set(Interrupted("the call was cancelled: finished rows are kept"))
            await _ended(working)
            raise


@contextmanager
def stopped_with_caller(stop: StopFlag) -> Iterator[None]:
    """While the block runs, `stop` is set if the await is cancelled that the block is part of, if any is."""
    caller = _caller.get()
    if caller is None:
        yield
        return

    def pass_on() -> None:
        assert caller.error is not None
        stop.set(caller.error)

    caller.listen(pass_on)
    try:
        yield
    finally:
        caller.forget(pass_on)


def check_may_block(name: str) -> None:
    """Raise `InvalidInput` in a running event loop, which the call would hold up until it has ended.

    A notebook's loop runs no cell while another runs, so there it may.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if hasattr(builtins, "__IPYTHON__"):
        return
    raise InvalidInput(
        f"{name} is called in a running event loop, which would stand still until the run has ended: write "
        f"await in_thread({name}, ...), with in_thread from prefect_llm"
    )


async def _ended(working: asyncio.Future[R]) -> None:
    """Wait for the end of a call that was stopped. Who cancels again waits too: a run is not left half finished."""
    while not working.done():
        try:
            await asyncio.wait([working])
        except asyncio.CancelledError:
            continue
    if not working.cancelled():
        working.exception()  # seen: the caller has cancelled it
