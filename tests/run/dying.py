"""A process that carries out a run and kills itself inside its n-th change of the disk, as no signal could aim.

`python dying.py DIRECTORY SOURCE BASE_URL CHUNK_ROWS DEATH [CONCURRENCY]`: `DEATH` is `CALL:N:WHEN`, `before` or
`after` the n-th call: a `replace`, `rename`, `link`, `fsync` or `write` (a journal's line) of module `os`, an
`unlink` of a path, the bytes of a whole file (`content`) or those of a chunk's part alone (`part`). `write`,
`content` and `part` may also die `half` way. `none:0:before` lives on.
"""

from __future__ import annotations

import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from prefect_llm.prompts import PromptSpec
from prefect_llm.run.opening import open_run
from prefect_llm.run.spec import RunSpec
from prefect_llm.run.threads import infer_pending
from prefect_llm.values.provider import Limits, Provider

CONCURRENCY = 4
CONTENTS = {"content": re.compile(""), "part": re.compile(r"part-[0-9]+\.parquet$")}
"""Whose bytes are meant: every whole file goes through a temp whose name ends with its own."""


def die_in(name: str, number: int, when: str) -> None:
    """Have this process killed in that call."""
    if name == "none":
        return
    if name in CONTENTS:
        Path.open = _opening(CONTENTS[name], number, when)  # type: ignore[method-assign]
        return
    owner = Path if name == "unlink" else os
    setattr(owner, name, _deadly(getattr(owner, name), count(1), number, when))


def _deadly(call: Callable[..., Any], numbers: Iterator[int], number: int, when: str) -> Callable[..., Any]:
    """The call, deadly the n-th time. What is written half is the last argument."""

    def deadly(*arguments: Any, **options: Any) -> Any:
        if next(numbers) != number:
            return call(*arguments, **options)
        if when == "half":
            *others, content = arguments
            call(*others, content[: len(content) // 2])
        elif when == "after":
            call(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    return deadly


def _opening(names: re.Pattern[str], number: int, when: str) -> Callable[..., Any]:
    """`Path.open` whose files for writing, unbuffered so that what was written is there, die in their n-th write."""
    opened, numbers = Path.open, count(1)

    def opening(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if mode != "wb" or not names.search(path.name):
            return opened(path, mode, *arguments, **options)
        file = io.FileIO(path, "wb")
        file.write = _deadly(file.write, numbers, number, when)  # type: ignore[method-assign]
        return file

    return opening


def main(
    directory: str, source: str, base_url: str, chunk_rows: str, death: str, concurrency: str = str(CONCURRENCY)
) -> None:
    """Open the run and infer what is pending; says how it ended."""
    name, number, when = death.split(":")
    die_in(name, int(number), when)
    spec = RunSpec(prompt=PromptSpec(model="m", template="{{ text }}"), chunk_rows=int(chunk_rows))
    run = open_run(source, directory, spec)
    summary = infer_pending(run, Provider(base_url, limits=Limits(int(concurrency))))
    print(summary.stopped.kind if summary.stopped is not None else summary.state, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
