"""How a command ends: its exit status (CONTRACT), the summary it shows, and the sentence for a fault of ours."""

from __future__ import annotations

import logging
import sys
import traceback
from enum import IntEnum

import orjson

from prefect_llm.errors import LLMBatchError, TooManyFailedRows
from prefect_llm.files import open_folder
from prefect_llm.report import Summary, to_rich
from prefect_llm.settings import RunSettings

FAULT_FILE = "_run/fault.txt"

logger = logging.getLogger(__name__)


class Exit(IntEnum):
    """Exit statuses."""

    DONE = 0
    FAULT = 1
    REFUSED = 2
    STOPPED = 3
    TOO_MANY_FAILED_ROWS = 4
    INTERRUPTED = 130
    TERMINATED = 143


def status_of(summary: Summary, error: LLMBatchError | None) -> Exit:
    """The status of a run that ended with that summary, and perhaps with that error."""
    if summary.state == "completed":
        return Exit.TOO_MANY_FAILED_ROWS if isinstance(error, TooManyFailedRows) else Exit.DONE
    return Exit.INTERRUPTED if summary.state == "interrupted" else Exit.STOPPED


def show(summary: Summary, settings: RunSettings) -> None:
    """The table for people, then for `--json` the object, the last line of standard output."""
    if not settings.output.quiet:
        from rich.console import Console

        Console(stderr=settings.output.json_summary).print(to_rich(summary))
    if settings.output.json_summary:
        print(orjson.dumps(summary.to_json()).decode())


def report_fault(fault: Exception, output: str, settings: RunSettings) -> int:
    """A fault of ours: one sentence, and the traceback where it can be found."""
    details = "".join(traceback.format_exception(fault))
    sentence = f"unexpected {type(fault).__name__}: {' '.join(str(fault).split())}"
    try:
        open_folder(output).write(FAULT_FILE, details.encode())
        sentence += f" (details in {output}/{FAULT_FILE})"
    except OSError as error:
        sentence += f" (and {output} cannot be written: {error.strerror})"
    print(f"prefect-llm: {sentence}", file=sys.stderr)
    logger.debug("%s", details)
    if settings.output.json_summary:
        stopped = {"kind": type(fault).__name__, "message": str(fault)}
        print(orjson.dumps({"state": "failed", "stopped": stopped, "output": output}).decode())
    return Exit.FAULT
