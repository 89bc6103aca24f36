"""The simulated provider as a process: until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Callable
from dataclasses import replace

from prefect_llm.simulation.endpoint import Endpoint
from prefect_llm.simulation.figures import Figures
from prefect_llm.simulation.settings import Simulation


def serve(simulation: Simulation, host: str, port: int, announce: Callable[[str], None]) -> Figures:
    """Serve until SIGINT or SIGTERM; `announce` is given the base URL. Returns the figures.

    Raises `InvalidInput` for an address that cannot be listened on.
    """
    _allow_many_connections()
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        return runner.run(_until_signal(simulation, host, port, announce))


async def _until_signal(simulation: Simulation, host: str, port: int, announce: Callable[[str], None]) -> Figures:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    endpoint = Endpoint(simulation)
    announce(await endpoint.listen(host, port))
    gc.freeze()  # what was imported is never looked through again
    await ended.wait()
    figures = replace(endpoint.figures)  # those that are dropped were not abandoned
    endpoint.close()
    return figures


def _new_event_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def _allow_many_connections() -> None:
    """Raise the limit of open files to what the system lets this process have."""
    if sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS refuses an unlimited one
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
