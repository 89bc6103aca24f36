"""The commands `run`, `resume` and `redrive`: the core in this process, then the summary and the exit status."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from prefect_llm.cli.error_output import report_fault
from prefect_llm.cli.exit_status import Exit, show, status_of, tell_stop
from prefect_llm.cli.progress import alert_log, progress_bar, progress_log
from prefect_llm.cli.provider import provider_of
from prefect_llm.cli.signals import stop_on_signals
from prefect_llm.engine.transport import check_provider
from prefect_llm.prompts import PromptSpec
from prefect_llm.report import Summary
from prefect_llm.run.context import context_of
from prefect_llm.run.finishing import check_failed_share, finish_run
from prefect_llm.run.opening import is_unfinished, model_of, open_run, reopen_run
from prefect_llm.run.redrive import open_redrive, redrive_pending
from prefect_llm.run.reference import RunReference
from prefect_llm.run.threads import infer_pending
from prefect_llm.settings import (
    RunSettings,
    budget_of,
    output_directory,
    run_options,
    run_spec,
    siblings_of,
    unknown_variables,
)
from prefect_llm.values.budget import RunBudget
from prefect_llm.values.errors import InvalidInput, LLMBatchError, TooManyFailedRows
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.provider import Provider

logger = logging.getLogger(__name__)

Opened = tuple[RunReference, Callable[[], Summary]]
"""An opened run, and what carries it out."""


def run(settings: RunSettings) -> int:
    """Carry out a run in this process. Raises `InvalidInput` for what is refused before anything was asked."""
    output = output_directory(settings.output.output or "", scheduled=datetime.now(UTC))

    def open_() -> Opened:
        provider = _provider(settings)
        run = _open(settings, output, provider)
        return run, lambda: infer_pending(run, provider)

    return _carry_out(open_, output, settings)


def resume(settings: RunSettings, output: str) -> int:
    """Finish the run in `output`; of the settings counts what is free. Raises `InvalidInput` as `run` does.

    Who is to be asked need not be said where nothing is left to ask.
    """

    def open_() -> Opened:
        named = settings.api.provider is not None or settings.api.base_url is not None
        provider = _provider(settings) if named or is_unfinished(output) else None
        budget = None if provider is None else _budget(settings, provider, model_of(output), output)
        run = reopen_run(output, options=run_options(settings.batch, budget=budget))
        return run, lambda: finish_run(run) if provider is None else infer_pending(run, provider)

    return _carry_out(open_, output, settings)


def redrive(settings: RunSettings, output: str, only: frozenset[ErrorKind] | None) -> int:
    """Ask the failed rows of the run in `output` again; of the settings counts what is free, and another model."""

    def open_() -> Opened:
        provider = _provider(settings)
        model = settings.api.model
        options = run_options(settings.batch, budget=_budget(settings, provider, model or model_of(output), output))
        redrive = open_redrive(output, kinds=only, model=model, options=options)
        return redrive.run, lambda: redrive_pending(redrive, provider)

    return _carry_out(open_, output, settings)


def log_to_stderr(settings: RunSettings) -> None:
    """Of other libraries only what warns: their DEBUG shows headers."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("prefect_llm").setLevel(settings.logging.log_level)
    for sentence in unknown_variables(os.environ):
        logger.warning("%s", sentence)


def _provider(settings: RunSettings) -> Provider:
    provider = provider_of(settings.api, settings.batch, os.environ)
    for each in provider.routes:
        check_provider(each)
    return provider


def _carry_out(open_: Callable[[], Opened], output: str, settings: RunSettings) -> int:
    log_to_stderr(settings)
    opened = None
    try:
        opened, carry_out = open_()
        summary, status = _infer(opened, carry_out, settings)
    except InvalidInput:
        raise
    except Exception as fault:
        return report_fault(fault, output, settings, opened)
    show(summary, settings)
    return status


def _open(settings: RunSettings, output: str, provider: Provider) -> RunReference:
    spec = run_spec(settings, default_model=provider.model)
    budget = _budget(settings, provider, spec.prompt.model, settings.output.output or "", spec.prompt)
    options = run_options(settings.batch, budget=budget, siblings=siblings_of(settings))
    return open_run(settings.documents.input or "", output, spec, options=options)


def _budget(
    settings: RunSettings, provider: Provider, model: str, output: str, prompt: PromptSpec | None = None
) -> RunBudget | None:
    return budget_of(settings.batch, provider, model, output, now=datetime.now(UTC), prompt=prompt)


def _infer(opened: RunReference, carry_out: Callable[[], Summary], settings: RunSettings) -> tuple[Summary, int]:
    error: LLMBatchError | None = None
    with stop_on_signals(opened) as received, show_progress(opened, settings):
        summary = carry_out()
    try:
        check_failed_share(summary, settings.batch.max_error_share)
    except TooManyFailedRows as failed:
        error = failed
        print(f"prefect-llm: {failed}", file=sys.stderr)
    if summary.stopped is not None:
        tell_stop(summary.stopped.message, settings)
    status = status_of(summary, error)
    return summary, 128 + received[0] if status == Exit.INTERRUPTED and received else status


@contextmanager
def show_progress(run: RunReference, settings: RunSettings) -> Iterator[None]:
    """A bar on a terminal, and a line of figures in the log at every interval."""
    with ExitStack() as stack:
        bar = sys.stderr.isatty() and not settings.output.quiet
        if bar:
            stack.enter_context(progress_bar(context_of(run).tracker))
        stack.enter_context(alert_log(run, settings.monitoring.alert_error_share))
        stack.enter_context(progress_log(context_of(run).tracker, settings.monitoring.stats_interval_seconds))
        yield
