"""The flow `redrive_failures`: the failed rows of a finished run, asked again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from prefect import flow, runtime

from prefect_llm.blocks import LLMProvider, resolve_provider
from prefect_llm.errors import LLMBatchError
from prefect_llm.flows.carrying_out import TASK_RUNNER, carried_out, failed, window
from prefect_llm.flows.form import check_someone_is_asked, reference_to
from prefect_llm.opening import model_of
from prefect_llm.records import ErrorKind
from prefect_llm.redriving import open_redrive
from prefect_llm.report import Summary
from prefect_llm.settings import ApiOptions, BatchOptions, MonitoringSection, budget_of
from prefect_llm.tasks import redrive_chunk
from prefect_llm.tasks.runners import over_processes


@flow(
    name="redrive-failures",
    description="Asks the failed rows of a finished run again, and replaces them where they lie.",
    task_runner=TASK_RUNNER,
)
def redrive_failures(
    output: str,
    provider: LLMProvider | str | None = None,
    only: list[ErrorKind] | None = None,
    model: str | None = None,
    api: ApiOptions | None = None,
    batch: BatchOptions | None = None,
    monitoring: MonitoringSection | None = None,
) -> Summary:
    """Ask the failed rows of a run again.

    Args:
        output: Directory or URL of the finished run.
        provider: A saved LLM Provider block or its name; leave empty to give `api.base_url` instead.
        only: Kinds of failures to ask again; all if empty.
        model: Another model to ask; the run's own if empty.
        api: How requests are retried and priced.
        batch: How much is asked at once, and when to stop.
        monitoring: How often figures are logged.

    Returns the summary of the whole run. Raises as `batch_inference` does.
    """
    try:
        return _redrive_all(
            output,
            provider,
            only,
            model,
            api or ApiOptions(),
            batch or BatchOptions(),
            monitoring or MonitoringSection(),
        )
    except LLMBatchError as error:
        return failed(error)


def _redrive_all(
    output: str,
    given: LLMProvider | str | None,
    only: list[ErrorKind] | None,
    model: str | None,
    api: ApiOptions,
    batch: BatchOptions,
    monitoring: MonitoringSection,
) -> Summary:
    check_someone_is_asked(given, api)
    reference = reference_to(given, api, batch)
    provider = resolve_provider(reference)
    redrive = open_redrive(
        output,
        kinds=only or None,
        model=model,
        stop_error_share=batch.stop_error_share,
        flush_interval_s=batch.flush_interval,
        budget=budget_of(
            batch,
            provider,
            model or model_of(output),
            output,
            now=datetime.now(UTC),
            owner=runtime.deployment.name,
        ),
    )
    redrive = replace(redrive, run=replace(redrive.run, spread=over_processes()))
    return carried_out(
        redrive.run,
        lambda chunk: redrive_chunk.submit(redrive, chunk, reference),
        window(redrive.run, provider),
        stats_interval_s=monitoring.stats_interval_seconds,
        max_error_share=batch.max_error_share,
    )
