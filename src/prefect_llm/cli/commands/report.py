"""The command `report`."""

from __future__ import annotations

import sys

from prefect_llm.cli.exit_status import Exit
from prefect_llm.report import charts_available
from prefect_llm.report.pages.sentences import headline
from prefect_llm.run.reports import WITHOUT_CHARTS, report_again


def report(directory: str) -> int:
    """Print what the run came to and where its report is. Raises `InvalidInput` where there is no run."""
    summary = report_again(directory)
    print(headline(summary))
    where = directory.rstrip("/")
    print(summary.page or f"{where}/_run/report.md")
    if not charts_available():
        print(f"prefect-llm: no report.html: {WITHOUT_CHARTS}", file=sys.stderr)
    return Exit.DONE
