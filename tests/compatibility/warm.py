"""Runs `prefect-llm` without the second that each command spends on imports: there are a hundred of them here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.commanding import Ended, environment

PROGRAM = Path(__file__).with_name("forking.py")


class Warm:
    """A process that has imported what commands need, and carries out one at a time."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._folder = folder

    def call(self, *arguments: str, cwd: Path) -> Ended:
        """Run a command to its end, as `commanding.call` does."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        out, err = self._folder / "out", self._folder / "err"
        asked = {"arguments": arguments, "cwd": str(cwd), "environ": environment(), "out": str(out), "err": str(err)}
        self._process.stdin.write(f"{json.dumps(asked)}\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return Ended(status, out.read_text(), err.read_text())


@contextmanager
def start_warm(folder: Path) -> Iterator[Warm]:
    """The process, while the block runs; what its commands write goes through files in that folder."""
    with subprocess.Popen(
        [sys.executable, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Warm(process, folder)
        finally:
            process.kill()
