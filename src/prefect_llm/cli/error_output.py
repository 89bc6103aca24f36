"""An internal error: one sentence for the user, the traceback in a file, exit status 1."""

from __future__ import annotations

import logging
import sys
import traceback

from prefect_llm.cli.exit_status import Exit, show_json
from prefect_llm.report import Summary, Totals, fold
from prefect_llm.run.context import context_of
from prefect_llm.run.reference import RunReference
from prefect_llm.settings import RunSettings
from prefect_llm.store import ChunkStats, RunDirectory, Stopped
from prefect_llm.values.errors import InvalidInput, reason_of
from prefect_llm.values.tally import Discarded

FAULT_FILE = "_run/fault.txt"

logger = logging.getLogger(__name__)


def report_fault(fault: Exception, output: str, settings: RunSettings, opened: RunReference | None = None) -> int:
    """Print the sentence, keep the traceback where it can be found, and end `--json` as every run does."""
    details = "".join(traceback.format_exception(fault))
    sentence = f"unexpected {type(fault).__name__}: {reason_of(fault)}"
    print(f"prefect-llm: {sentence} ({_write_details(details, output)})", file=sys.stderr)
    logger.debug("%s", details)
    if settings.output.json_summary:
        show_json(_summary_of(fault, output, opened))
    return Exit.FAULT


def _write_details(details: str, output: str) -> str:
    """Write the traceback into the run's directory, if there is a run, and say where it is."""
    try:
        directory = RunDirectory.open(output)
        if directory.manifest() is None:
            return "--log-level DEBUG shows the details"
        directory.folder.write(FAULT_FILE, details.encode())
    except (OSError, InvalidInput) as error:
        return f"and {output} cannot be written: {error}"
    return f"details in {output}/{FAULT_FILE}"


def _summary_of(fault: Exception, output: str, opened: RunReference | None) -> Summary:
    """The summary of a run that an internal error ended, as far as it is known."""
    stopped = Stopped(type(fault).__name__, str(fault))
    if opened is None:
        return Summary(Totals(rows=0), "failed", output, stopped=stopped)

    progress = context_of(opened).tracker.progress
    return Summary(
        _totals(opened),
        "failed",
        opened.url,
        requests=progress.requests.sent,
        retries=progress.requests.retries,
        throttled=progress.requests.throttled,
        seconds=progress.seconds,
        stopped=stopped,
    )


def _totals(opened: RunReference) -> Totals:
    try:
        return fold(RunDirectory.open(opened.url), opened.rows)
    except (OSError, InvalidInput):  # what was paid for rows that cannot be read is not known
        return Totals(opened.rows, chunk_stats=ChunkStats(discarded=Discarded(cost=None)))
