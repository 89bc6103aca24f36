"""The process behind `warm.py`: each command that it is told is carried out by a fork of it.

A command is a line of JSON on standard input, its exit status one on standard output. Nothing runs here but the main
thread and those of allocators, which know of forks.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module

import prefect_llm
import prefect_llm.cli

NAMES = ("Estimate", "PromptSpec", "Run", "RunSpec", "Summary", "read_results")
"""Public names whose import brings the core without Prefect."""
MODULES = ("altair", "cyclopts", "fsspec", "genai_prices", "pyarrow.dataset", "pyreqwest", "s3fs", "vl_convert")


def main() -> None:
    """Serve commands until standard input ends."""
    for name in NAMES:
        getattr(prefect_llm, name)
    for module in MODULES:
        with suppress(ImportError):
            import_module(module)
    for line in sys.stdin:
        asked = json.loads(line)
        if (child := os.fork()) == 0:
            _become(asked["cwd"], asked["environ"], asked["out"], asked["err"])
            sys.argv = ["prefect-llm", *asked["arguments"]]
            prefect_llm.cli.main()
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(cwd: str, environ: Mapping[str, str], out: str, err: str) -> None:
    """A process of that folder, environment and output."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    for path, number in ((os.devnull, 0), (out, 1), (err, 2)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)


if __name__ == "__main__":
    main()
