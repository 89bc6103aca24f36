"""Makes docs/demo.svg, a picture of a real run: `python docs/demo_picture.py`, after `make demo`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 104
SKIPPED = ("prefect - ", "Task run", "View at", "See https://")
QUIET = {"FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}


def main() -> None:
    """Run the demo with colours on and draw what it printed."""
    command = [str(Path(sys.executable).with_name("prefect-llm")), "demo"]
    done = subprocess.run(
        command, env=os.environ | QUIET, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - to the end
    console.print(Text("$ make demo", style="bold"))
    for line in done.stdout.splitlines():
        shown = Text.from_ansi(line.replace(str(Path.cwd()), "…"))
        if shown.plain.strip() and not any(part in shown.plain for part in SKIPPED):
            console.print(shown)
    Path(__file__).with_name("demo.svg").write_text(console.export_svg(title="prefect-llm"), encoding="utf-8")


if __name__ == "__main__":
    main()
