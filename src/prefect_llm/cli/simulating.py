"""The command `simulate`."""

from __future__ import annotations

import contextlib
import os
import sys

from prefect_llm.simulation import Simulation, serve


def simulate(simulation: Simulation, host: str, port: int) -> int:
    """Print the base URL, serve until a signal comes, then print what was counted."""
    figures = serve(simulation, host, port, announce=_say)
    _say(figures.sentence())
    return 0


def _say(line: str) -> None:
    try:
        print(line, flush=True)
    except BrokenPipeError:  # whoever started this no longer reads; nor must the last flush of the process fail
        with contextlib.suppress(OSError), open(os.devnull, "w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
