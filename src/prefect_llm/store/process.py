"""Which process this is, and whether another one is still alive.

A pid alone identifies no process: it is used again after a restart, and in other containers. So a process is its pid
and start time, within one boot and pid namespace.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

_ENDED = frozenset("ZXx")
"""States in /proc of a process that has ended and whose parent has not collected it yet."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process. `place` is its boot and pid namespace, `started` in clock ticks since boot; `None` without /proc.

    The lease file has these names.
    """

    host: str
    pid: int
    place: str | None = None
    started: int | None = None

    def beside(self, other: Process) -> bool:
        """Whether the other's pid can be looked up from this process."""
        return (self.host, self.place) == (other.host, other.place)


def this_process() -> Process:
    """The calling process."""
    pid = os.getpid()
    return Process(socket.gethostname(), pid, _place(), _started(pid))


def lives(process: Process) -> bool:
    """Whether a process beside this one is alive. A paused one is."""
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
    """`None` for a process that has ended, and without /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return None if fields[0] in _ENDED else int(fields[19])
