"""Which process this is, and whether another one still lives.

A pid alone names nobody: it comes again after a restart, and means another process in another container. So a
process is its pid with its start time, and the boot and pid namespace in which both mean something.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

_ENDED = frozenset("ZXx")
"""States in /proc of a process that has ended, though its parent has not asked yet."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process. `place` and `started` (clock ticks since boot) are `None` where there is no /proc."""

    host: str
    pid: int
    place: str | None = None
    started: int | None = None

    def beside(self, other: Process) -> bool:
        """Whether the other's pid can be looked up from here."""
        return (self.host, self.place) == (other.host, other.place)


def this_process() -> Process:
    """The one that asks."""
    pid = os.getpid()
    return Process(socket.gethostname(), pid, _place(), _started(pid))


def lives(process: Process) -> bool:
    """Whether a process beside this one is still there. A paused one is."""
    if process.started is not None:
        return _started(process.pid) == process.started
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


def _place() -> str | None:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _started(pid: int) -> int | None:
    """`None` for a process that has ended, and where there is no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return None if fields[0] in _ENDED else int(fields[19])
