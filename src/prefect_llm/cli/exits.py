"""What the exit statuses mean (CONTRACT, command line)."""

from __future__ import annotations

from enum import IntEnum

from prefect_llm.errors import LLMBatchError, TooManyFailedRows
from prefect_llm.report import Summary


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
