"""Every connection is an open file, and a process starts with leave for few: often 1,024."""

from __future__ import annotations

import sys

SPARE = 256
"""For everything that is no connection."""


def allow_open_files(connections: int) -> None:
    """Raise this process's own limit so far that it holds so many connections, as far as it may."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE if hard == resource.RLIM_INFINITY else min(connections + SPARE, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
