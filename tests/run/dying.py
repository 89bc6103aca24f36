"""A process that carries out a run and kills itself inside its n-th change of the disk, as no signal could aim.

`python dying.py DIRECTORY SOURCE BASE_URL CHUNK_ROWS DEATH`: `DEATH` is `CALL:N:WHEN`, `before` or `after` the n-th
`replace`, `link`, `fsync` or `write` of module `os`, or `unlink` of a path; a `write` may also die `half` way.
`none:0:before` lives on.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from prefect_llm.opening import open_run
from prefect_llm.prompts import PromptSpec
from prefect_llm.records import Limits, Provider
from prefect_llm.run import infer_pending
from prefect_llm.spec import RunSpec

CONCURRENCY = 4


def die_in(name: str, number: int, when: str) -> None:
    """Have this process killed in that call."""
    if name == "none":
        return
    owner = Path if name == "unlink" else os
    call: Callable[..., Any] = getattr(owner, name)
    numbers = count(1)

    def deadly(*arguments: Any, **options: Any) -> Any:
        if next(numbers) != number:
            return call(*arguments, **options)
        if when == "half":
            descriptor, content = arguments
            call(descriptor, content[: len(content) // 2])
        elif when == "after":
            call(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    setattr(owner, name, deadly)


def main(directory: str, source: str, base_url: str, chunk_rows: str, death: str) -> None:
    """Open the run and infer what is pending; says how it ended."""
    name, number, when = death.split(":")
    die_in(name, int(number), when)
    spec = RunSpec(prompt=PromptSpec(model="m", template="{{ text }}"), chunk_rows=int(chunk_rows))
    run = open_run(source, directory, spec)
    summary = infer_pending(run, Provider(base_url, limits=Limits(CONCURRENCY)))
    print(summary.stopped.kind if summary.stopped is not None else summary.state, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
