"""The command `estimate`: the documents counted in this process, and with a sample some of them asked."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

import orjson

from prefect_llm.cli.commands.run import log_to_stderr, show_progress
from prefect_llm.cli.exit_status import Exit
from prefect_llm.cli.provider import provider_of
from prefect_llm.cli.signals import stop_on_signals
from prefect_llm.estimating import Estimate, SampleOptions, estimate_input, sample_directory, to_rich
from prefect_llm.report import Summary
from prefect_llm.run.reference import RunReference
from prefect_llm.run.spec import RunSpec
from prefect_llm.run.threads import infer_pending
from prefect_llm.settings import RunSettings, budget_of, output_directory, run_spec, siblings_of
from prefect_llm.values.errors import Interrupted, InvalidInput, RunError
from prefect_llm.values.provider import Provider


def estimate(settings: RunSettings, sample: int | None, seed: int, models: tuple[str, ...]) -> int:
    """Show the estimate; the exit status. Raises `InvalidInput` for what is refused before anything was asked."""
    log_to_stderr(settings)
    now = datetime.now(UTC)
    provider = provider_of(settings.api, settings.batch, os.environ)
    spec = run_spec(settings, default_model=provider.model)
    output = None if settings.output.output is None else output_directory(settings.output.output, scheduled=now)
    options = None
    if sample is not None and output is not None:
        options = _sample(settings, spec, provider, sample, seed, output, now)

    try:
        found = estimate_input(
            settings.documents.input or "",
            spec,
            provider,
            reuse=settings.batch.reuse,
            siblings=siblings_of(settings),
            output=output,
            sample=options,
            models=models,
        )
    except InvalidInput:
        raise
    except RunError as stopped:
        print(f"prefect-llm: {stopped}", file=sys.stderr)
        return Exit.INTERRUPTED if isinstance(stopped, Interrupted) else Exit.STOPPED

    _show(found, settings)
    return Exit.DONE


def _sample(
    settings: RunSettings, spec: RunSpec, provider: Provider, size: int, seed: int, output: str, now: datetime
) -> SampleOptions:
    """The sample spends of the same month's budget as the run, and at most what the run may cost."""

    def ask(run: RunReference, asked: Provider) -> Summary:
        with stop_on_signals(run), show_progress(run, settings):
            return infer_pending(run, asked)

    budget = budget_of(
        settings.batch, provider, spec.prompt.model, settings.output.output or "", now=now, prompt=spec.prompt
    )
    return SampleOptions(size, sample_directory(output), seed, budget, ask)


def _show(found: Estimate, settings: RunSettings) -> None:
    if not settings.output.quiet:
        from rich.console import Console

        Console(stderr=settings.output.json_summary).print(to_rich(found))
    if settings.output.json_summary:
        print(orjson.dumps(found.to_json()).decode())
