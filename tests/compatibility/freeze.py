"""Freezes run directories as this build writes them: `python tests/compatibility/freeze.py [NAME...]`.

Each lies in `runs/BUILD/NAME` then, for the tests of every later build. What is frozen already is never made again.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.compatibility.cases import CASES, on_s3
from tests.compatibility.freezing import BUCKET, Case, Stage, freeze
from tests.compatibility.frozen import RUNS, FrozenRun
from tests.s3_server import start_s3
from tests.scripted_server.client import start_server

BUILD = importlib.metadata.version("prefect-llm")


def main(names: list[str]) -> None:
    """Freeze those that are named, or all that this build has not frozen yet."""
    with start_server() as server:
        for name in names or [name for name in CASES if not (RUNS / BUILD / name).exists()]:
            frozen = FrozenRun(BUILD, name)
            if frozen.path.exists():
                raise SystemExit(f"{frozen.path} is frozen: it is not made again")
            with tempfile.TemporaryDirectory() as folder, store_of(CASES[name]) as store:
                work, scratch = Path(folder, "work"), Path(folder, "scratch")
                work.mkdir()
                freeze(frozen, CASES[name], Stage(work, server, store), scratch)
            print(f"frozen: {frozen.id}", flush=True)


@contextmanager
def store_of(case: Callable[[Stage], Case]) -> Iterator[str]:
    """Where the case's run lies; an S3 server of its own where that is one."""
    if case not in on_s3:
        yield "local"
        return
    import fsspec
    import s3fs

    with start_s3() as environment:
        os.environ.update(environment)
        s3fs.S3FileSystem.clear_instance_cache()
        fsspec.filesystem("s3").mkdir(BUCKET)
        yield "s3"


if __name__ == "__main__":
    main(sys.argv[1:])
