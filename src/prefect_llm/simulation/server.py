"""Runs the simulated provider in this process until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable
from copy import deepcopy

from prefect_llm.simulation.endpoint import Endpoint
from prefect_llm.simulation.settings import Simulation
from prefect_llm.simulation.stats import EndpointStats
from prefect_llm.system.event_loop import allow_open_files, new_event_loop


def serve(simulation: Simulation, host: str, port: int, announce: Callable[[str], None]) -> EndpointStats:
    """Serve until SIGINT or SIGTERM; `announce` gets the base URL. Returns the stats.

    Raises `InvalidInput` for an address that cannot be listened on.
    """
    allow_open_files()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_until_signal(simulation, host, port, announce))


async def _until_signal(
    simulation: Simulation, host: str, port: int, announce: Callable[[str], None]
) -> EndpointStats:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    endpoint = Endpoint(simulation)
    announce(await endpoint.listen(host, port))
    gc.freeze()  # imported modules need not be scanned again
    await ended.wait()
    stats = deepcopy(endpoint.stats)  # before closing: requests dropped now do not count as abandoned
    endpoint.close()
    return stats
