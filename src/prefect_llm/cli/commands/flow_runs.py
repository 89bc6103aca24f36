"""`run --prefect`: the same settings, run by the flow `batch_inference`."""

from __future__ import annotations

import os
import sys

from prefect_llm.cli.error_output import report_fault
from prefect_llm.cli.exit_status import Exit, show, status_of, tell_stop
from prefect_llm.cli.prefect_server import check_server
from prefect_llm.report import Summary
from prefect_llm.settings import RunSettings, unknown_variables
from prefect_llm.values.errors import InvalidInput, LLMBatchError


def run(settings: RunSettings) -> int:
    """Run the flow in this process; Prefect starts a server of its own where none is configured."""
    for sentence in unknown_variables(os.environ):
        print(f"prefect-llm: {sentence}", file=sys.stderr)

    try:
        summary, error = run_flow(settings)
    except InvalidInput:
        raise
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Exception as fault:
        return report_fault(fault, settings.output.output or "", settings)

    if summary.stopped is not None:
        tell_stop(summary.stopped.message, settings)
    elif error is not None:
        print(f"prefect-llm: {error}", file=sys.stderr)

    show(summary, settings)
    return status_of(summary, error)


def run_flow(settings: RunSettings) -> tuple[Summary, LLMBatchError | None]:
    """The summary, and the error that stopped or failed the run."""
    check_server()
    from prefect_llm.flows.batch import infer_with

    try:
        return infer_with(settings), None
    except LLMBatchError as error:
        if not isinstance(error.summary, Summary):
            raise
        return error.summary, error
