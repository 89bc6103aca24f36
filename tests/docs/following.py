"""A reader who follows a page: its blocks in order, in one folder, in one shell and one Python session."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.docs.reading import ROOT, Block
from tests.scripted_server.client import free_port

COMMAND_S = 90.0
PLACEHOLDERS = ("https://api.openai.com/", "http://127.0.0.1:8090/")
STAND_INS = {
    # the session's server is there already
    "prefect server start": "true",
    # other tests may have made this pool on the same server
    "prefect work-pool create llm": "prefect work-pool create llm --overwrite",
}


@dataclass(slots=True)
class Reader:
    """Carries out blocks in `folder`; `port` is where the placeholder addresses lead."""

    folder: Path
    port: int
    environ: Mapping[str, str]
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__page__"})
    asides: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def follow(self, page: str, block: Block) -> None:
        """Carry one block out. Raises what the block raises, `AssertionError` on an exit status other than 0."""
        where = f"{page}, line {block.line}"
        if block.is_aside:
            self._start(block)
        elif block.language == "python":
            self._python(self._mapped(block.code), f"{Path(page).stem}_{block.line}.py")
        else:
            done = self._shell(self._mapped(block.code))
            assert done.returncode == 0, f"{where} ended with {done.returncode}:\n{done.stdout[-3000:]}"

    def _mapped(self, code: str) -> str:
        for address in PLACEHOLDERS:
            code = code.replace(address, f"http://127.0.0.1:{self.port}/")
        for command, instead in STAND_INS.items():
            code = code.replace(command, instead)
        return code

    def _python(self, code: str, name: str) -> None:
        """From a file, since Prefect looks for a flow's source; in the folder where the shell is."""
        file = self.folder.parent / name
        file.write_text(code, encoding="utf-8")
        before = Path.cwd()
        os.chdir(self._state("folder").read_text().strip())
        try:
            exec(compile(code, str(file), "exec"), self.names)
        finally:
            os.chdir(before)

    def _shell(self, code: str) -> subprocess.CompletedProcess[str]:
        """What is exported and where the shell stands is kept for the next block."""
        exports, folder = self._state("exports"), self._state("folder")
        script = f"""
            set -eo pipefail; source {exports}; cd "$(cat {folder})"
            {{ {code}
            }}
            export -p > {exports}; pwd > {folder}
        """
        return subprocess.run(
            ["bash", "-c", script.replace("\n            ", "\n")],
            env=dict(self.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S,
        )

    def _start(self, block: Block) -> None:
        code = block.code
        if simulates := code.startswith("prefect-llm simulate"):
            self.port = free_port()
            code = code.replace("prefect-llm simulate", f"prefect-llm simulate --port {self.port}")
        process = subprocess.Popen(
            ["bash", "-c", self._mapped(code)],
            cwd=self.folder,
            env=dict(self.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if simulates else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.asides.append(process)
        if process.stdout is not None:
            assert process.stdout.readline(), f"line {block.line}: the simulated provider did not start"

    def _state(self, name: str) -> Path:
        return self.folder.parent / name


@contextmanager
def reader(home: Path, port: int, environ: Mapping[str, str]) -> Iterator[Reader]:
    """A reader in a folder with what a checkout has and what the pages take for granted."""
    folder = home / "checkout"
    folder.mkdir()
    _lay_out(folder)
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    (home / "exports").touch()
    (home / "folder").write_text(str(folder))
    quick = {"PATH": paths, "HOME": str(home), "PREFECT_WORKER_QUERY_SECONDS": "0.5", "NO_COLOR": "1"}
    follower = Reader(folder, port, dict(environ) | quick)
    try:
        yield follower
    finally:
        for process in follower.asides:
            _end(process)


def _lay_out(folder: Path) -> None:
    for name in ("examples", "deployments"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    texts = ["The kettle leaks.", "Lovely lamp!", "Where is my parcel?"]
    pq.write_table(pa.table({"id": ["1", "2", "3"], "text": texts}), folder / "tickets.parquet")


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                continue
    if process.stdout is not None:
        process.stdout.close()
