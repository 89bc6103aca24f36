"""How a command ends: its exit status (docs/contract.md, Exit status) and the summary it shows."""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import TYPE_CHECKING

import orjson

from prefect_llm.values.errors import LLMBatchError, TooManyFailedRows

if TYPE_CHECKING:
    from prefect_llm.report import Summary
    from prefect_llm.settings import RunSettings


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


def tell_stop(sentence: str, settings: RunSettings) -> None:
    """Say on standard error why a run stopped; not where the summary, which says it too, is on the same terminal."""
    seen = sys.stderr.isatty() and (settings.output.json_summary or sys.stdout.isatty())
    if settings.output.quiet or not seen:
        print(f"prefect-llm: {sentence}", file=sys.stderr)


def show(summary: Summary, settings: RunSettings) -> None:
    """The table for people, then for `--json` the object, the last line of standard output."""
    if not settings.output.quiet:
        from rich.console import Console

        from prefect_llm.report import to_rich

        Console(stderr=settings.output.json_summary).print(to_rich(summary))
    if settings.output.json_summary:
        show_json(summary)


def show_json(summary: Summary) -> None:
    """The object of `--json`, one line."""
    print(orjson.dumps(summary.to_json()).decode())
