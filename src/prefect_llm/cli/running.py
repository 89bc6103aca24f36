"""The command `run`: the core in this process, or the flow; then the summary and the exit status."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from types import FrameType

import orjson

from prefect_llm.cli.exits import Exit, status_of
from prefect_llm.cli.progress import progress_bar, progress_log
from prefect_llm.cli.providing import provider_of
from prefect_llm.errors import Interrupted, InvalidInput, LLMBatchError, TooManyFailedRows
from prefect_llm.files import open_folder
from prefect_llm.report import Summary, to_rich
from prefect_llm.run import Run, check_failed_share, infer_pending, open_run
from prefect_llm.settings import RunSettings, output_directory, run_spec

FAULT_FILE = "_run/fault.txt"

logger = logging.getLogger(__name__)


def run(settings: RunSettings, *, with_prefect: bool) -> int:
    """Carry out a run. Raises `InvalidInput` for what is refused before anything was asked."""
    if with_prefect:
        from prefect_llm.cli import flow_running

        return flow_running.run(settings)
    logging.basicConfig(
        level=settings.logging.log_level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    output = output_directory(settings.output.output or "", scheduled=datetime.now(UTC))
    try:
        summary, status = _run(settings, output)
    except InvalidInput:
        raise
    except Exception as fault:
        return report_fault(fault, output, settings)
    show(summary, settings)
    return status


def _run(settings: RunSettings, output: str) -> tuple[Summary, int]:
    provider = provider_of(settings.api, settings.batch, os.environ)
    spec = run_spec(settings, default_model=provider.model)
    opened = open_run(settings.documents.input or "", output, spec, stop_error_share=settings.batch.stop_error_share)
    error: LLMBatchError | None = None
    with _signals_stop(opened) as received, _figures_shown(opened, settings):
        summary = infer_pending(opened, provider)
    try:
        check_failed_share(summary, settings.batch.max_error_share)
    except TooManyFailedRows as failed:
        error = failed
        print(f"prefect-llm: {failed}", file=sys.stderr)
    if summary.stopped is not None:
        print(f"prefect-llm: {summary.stopped.message}", file=sys.stderr)
    status = status_of(summary, error)
    return summary, 128 + received[0] if status == Exit.INTERRUPTED and received else status


@contextmanager
def _signals_stop(run: Run) -> Iterator[list[int]]:
    """The first signal stops the run in good order, a second one leaves at once; gives the signals received."""
    received: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            os._exit(128 + number)
        name = signal.Signals(number).name
        run.live.stop.set(Interrupted(f"{name}: finished rows are kept, the same command goes on from there"))

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _figures_shown(run: Run, settings: RunSettings) -> Iterator[None]:
    """A bar on a terminal, and a line of figures in the log at every interval."""
    with ExitStack() as stack:
        bar = sys.stderr.isatty() and not settings.output.quiet
        if bar:
            stack.enter_context(progress_bar(run.live))
        stack.enter_context(progress_log(run.live, settings.monitoring.stats_interval_seconds))
        yield


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
