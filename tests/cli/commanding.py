"""Runs `prefect-llm` as a person does: the installed command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
from pyarrow import csv

COMMAND = Path(sys.executable).with_name("prefect-llm")
DEADLINE_S = 60


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: negative by a signal, else its exit status; what it wrote where."""

    status: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        """The object on the last line of standard output."""
        summary: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return summary

    @property
    def refusals(self) -> list[str]:
        """The sentences on standard error, without those of the log."""
        prefix = "prefect-llm: "
        return [line.removeprefix(prefix) for line in self.err.splitlines() if line.startswith(prefix)]


@contextmanager
def started(*arguments: str, cwd: Path, environ: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A command under way; what is left of it is killed at the end of the block."""
    with subprocess.Popen(
        [str(COMMAND), *arguments],
        cwd=cwd,
        env=environment() | dict(environ or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str], deadline_s: float = DEADLINE_S) -> Ended:
    """Wait for a started command."""
    out, err = process.communicate(timeout=deadline_s)
    return Ended(process.returncode, out, err)


def call(*arguments: str, cwd: Path, environ: Mapping[str, str] | None = None) -> Ended:
    """Run a command to its end."""
    with started(*arguments, cwd=cwd, environ=environ) as process:
        return ended(process)


def environment() -> dict[str, str]:
    """The environment of this process, without settings of ours that a developer's shell may hold."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_LLM_")}
    return own | {"DO_NOT_TRACK": "1", "COLUMNS": "120"}


def write_documents(path: Path, count: int) -> str:
    """Ids `d0`, ... and texts `doc-0 hello`, ...; the format is the file's extension."""
    rows = [{"id": f"d{row}", "text": f"doc-{row} hello"} for row in range(count)]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        csv.write_csv(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def result_rows(output: Path) -> list[dict[str, Any]]:
    """Every result row, in the order of the input."""
    rows: list[dict[str, Any]] = pyarrow.dataset.dataset(output / "results").to_table().to_pylist()
    return rows
