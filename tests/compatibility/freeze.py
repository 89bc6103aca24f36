"""Freezes run directories as this build writes them: `python tests/compatibility/freeze.py [NAME...]`.

Each lies in `runs/BUILD/NAME` then, for the tests of every later build. `prefect` is what a Prefect
server stores of a build, and lies in `prefect/BUILD`. What is frozen already is never made again.
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
from tests.compatibility.freezing_prefect import freeze_prefect
from tests.compatibility.frozen import HERE, FrozenRun
from tests.compatibility.stored import Stored
from tests.s3_server import start_s3
from tests.scripted_server.client import start_server

BUILD = importlib.metadata.version("prefect-llm")
PREFECT = "prefect"
"""The name of what a Prefect server stores, beside those of the runs."""


def main(names: list[str]) -> None:
    """Freeze those that are named, or all that this build has not frozen yet."""
    places = {name: FrozenRun(BUILD, name).path for name in CASES} | {PREFECT: Stored(BUILD).path}
    for name in names or [name for name, place in places.items() if not place.exists()]:
        if places[name].exists():
            raise SystemExit(f"{places[name]} is frozen: it is not made again")
        if name == PREFECT:
            freeze_prefect(Stored(BUILD))
        else:
            freeze_run(FrozenRun(BUILD, name))
        print(f"frozen: {places[name].relative_to(HERE)}", flush=True)


def freeze_run(frozen: FrozenRun) -> None:
    """A run over servers of its own."""
    case = CASES[frozen.name]
    with tempfile.TemporaryDirectory() as folder, start_server() as server, store_of(case) as store:
        work, scratch = Path(folder, "work"), Path(folder, "scratch")
        work.mkdir()
        freeze(frozen, case, Stage(work, server, store), scratch)


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
