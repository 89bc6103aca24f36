"""Every benchmark, one after the other, to the terminal and into RESULTS.md: what `make bench` runs.

`python benchmarks/run_all.py NAME ...` runs only those, and writes nothing.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
NAMES = (
    "simulator",
    "client_cpu",
    "wall_efficiency",
    "overhead",
    "memory",
    "quota",
    "shared_quota",
    "scale_out",
    "knee",
    "prices",
    "estimate",
    "chaos 20",
)
"""With the arguments of those that take more time than a few minutes otherwise."""


def main() -> None:
    """Run them and write the results."""
    names = tuple(sys.argv[1:]) or NAMES
    text = machine()
    for name in names:
        text += "\n" + "".join(output_of(name))
    if names == NAMES:
        RESULTS.write_text(text, encoding="utf-8")


def output_of(name: str) -> Iterator[str]:
    """What a benchmark prints, line by line, shown as it comes."""
    script, *arguments = name.split()
    command = [sys.executable, "-u", str(HERE / f"{script}.py"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            yield line
    if process.returncode:
        yield f"\n{name} ended with exit status {process.returncode}.\n"
    yield "\n"


def machine() -> str:
    """The head of the results: where and when."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text()) if os.name == "posix" else None
    lines = [
        "# Results",
        "",
        f"Written by `make bench` on {time.strftime('%Y-%m-%d')}: {os.cpu_count()} cores",
        f"({model[1] if model else platform.machine()}), {memory_gb:.0f} GB, {platform.system()}, "
        f"Python {platform.python_version()}.",
        "Compare the rows of one table only: machines and hours differ.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
