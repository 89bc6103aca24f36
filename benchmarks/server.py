"""Starts the instant server in a process of its own, for benchmarks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def instant_server(delay_s: float) -> Iterator[str]:
    """Its URL, while the block runs."""
    command = [sys.executable, str(Path(__file__).with_name("instant_server.py")), str(delay_s)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        yield server.stdout.readline().strip()
        server.stdin.close()


def cpu_s(usage_before: tuple[float, float], usage_after: tuple[float, float]) -> float:
    """User and system seconds between two readings of `os.times()[:2]`."""
    return sum(usage_after) - sum(usage_before)
