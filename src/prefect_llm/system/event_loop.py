"""The event loop that everything of ours runs on, chosen by measurement: uvloop where there is one.

Every connection on it is an open file, and a process starts with leave for few: often 1,024.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

SPARE = 256
"""For everything that is no connection."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop of its own for the thread that will run it."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def allow_open_files(connections: int | None = None) -> None:
    """Raise this process's own limit so far that it holds so many connections, or as far as it may."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if connections is None else connections + SPARE
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft == resource.RLIM_INFINITY or (wanted != resource.RLIM_INFINITY and soft >= wanted):
        return
    with contextlib.suppress(ValueError, OSError):  # macOS refuses what its kernel does not have
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
