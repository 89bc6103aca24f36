"""CPU seconds, wall clock and rows in processes of their own; standard library only, for peers' environments too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


class RowFailed(Exception):
    """A row's process ended without a figure; the message is the last line it wrote to standard error."""


def cpu_s() -> float:
    """User and system seconds of this process, all its threads included."""
    return sum(os.times()[:2])


def tree_cpu_s() -> float:
    """User and system seconds of this process and of all that it and they have started and that still run."""
    parents, used = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        pid = int(stat.parent.name)
        parents[pid], used[pid] = int(fields[1]), int(fields[11]) + int(fields[12])
    tree = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return sum(used.get(pid, 0) for pid in tree) / os.sysconf("SC_CLK_TCK")


def measure(ask: Callable[[int], int], requests: int, *, warm_up: int) -> dict[str, float]:
    """CPU and wall seconds of `ask(requests)`, which returns how many were answered.

    The imports, first allocations and compiled caches are paid in the warm-up.
    """
    ask(warm_up)
    cpu_before, started = cpu_s(), time.perf_counter()
    answered = ask(requests)
    wall_s, used_s = time.perf_counter() - started, cpu_s() - cpu_before
    if answered != requests:
        raise RowFailed(f"{answered:,} of {requests:,} requests were answered")
    return {"cpu_s": used_s, "wall_s": wall_s}


def in_own_process(
    script: str,
    *arguments: object,
    python: str | Path = sys.executable,
    environ: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The JSON object that `python script arguments` prints as its last line. Raises `RowFailed`."""
    command = [str(python), script, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, env=environ)
    if ended.returncode:
        lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
        raise RowFailed(lines[-1][:160] if lines else f"exit status {ended.returncode}")
    result: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return result


def installed_version(package: str) -> str:
    """The package's version; empty where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
