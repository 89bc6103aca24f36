"""The event loop of the engine and the simulated provider: uvloop, chosen by measurement, except on Windows.

Every connection is an open file, and a process starts with a low limit on those, often 1,024.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

SPARE = 256
"""Open files besides connections."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new loop, for the thread that will run it."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def allow_open_files(connections: int | None = None) -> None:
    """Raise this process's limit of open files to hold that many connections; `None` raises it as far as allowed."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if connections is None else connections + SPARE
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft == resource.RLIM_INFINITY or (wanted != resource.RLIM_INFINITY and soft >= wanted):
        return
    with contextlib.suppress(ValueError, OSError):  # macOS refuses more than its kernel allows
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
