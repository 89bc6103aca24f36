"""The flow `redrive_failures`: the failed rows of a finished run, asked again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from prefect import flow, runtime
from prefect.exceptions import TerminationSignal

from prefect_llm.blocks import LLMProvider, resolve_provider
from prefect_llm.flows.execution import TASK_RUNNER, run_chunks, state_for
from prefect_llm.flows.form import (
    Api,
    Batch,
    Kinds,
    Monitoring,
    ProviderChoice,
    Text,
    check_provider_named,
    reference_to,
    titled,
)
from prefect_llm.flows.naming import redrive_name
from prefect_llm.flows.signals import ended_by
from prefect_llm.report import Summary
from prefect_llm.run.in_thread import check_may_block
from prefect_llm.run.opening import model_of
from prefect_llm.run.redrive import open_redrive
from prefect_llm.settings import ApiOptions, BatchOptions, MonitoringOptions, budget_of, run_options
from prefect_llm.tasks import redrive_chunk
from prefect_llm.tasks.runners import over_processes
from prefect_llm.values.errors import LLMBatchError
from prefect_llm.values.outcome import ErrorKind


@flow(
    name="redrive-failures",
    description="Asks the failed rows of a finished run again, and replaces them where they lie.",
    task_runner=TASK_RUNNER,
    flow_run_name=redrive_name,
)
def redrive_failures(
    output: Annotated[str, titled("Output")],
    provider: Annotated[ProviderChoice, titled("Provider")] = None,
    only: Annotated[Kinds, titled("Kinds of failures")] = None,
    model: Annotated[Text, titled("Model")] = "",
    api: Annotated[Api, titled("Requests and prices")] = None,
    batch: Annotated[Batch, titled("Pace, budget and failures")] = None,
    monitoring: Annotated[Monitoring, titled("Log")] = None,
) -> Summary:
    """Ask the failed rows of a run again.

    Args:
        output: Directory or URL of the finished run.
        provider: Who is asked: a saved LLM Provider block, with its key, limits and prices. None only where a
            base URL is given below, under Requests and prices.
        only: Kinds of failures to ask again; all if empty.
        model: Another model to ask; the run's own if empty.
        api: How requests are retried and priced.
        batch: How much is asked at once, and when to stop.
        monitoring: How often figures are logged, and which error share alarms.

    Returns the summary of the whole run. Raises as `batch_inference` does.
    """
    try:
        check_may_block("redrive_failures")
        return _redrive_all(
            output,
            provider or None,
            only,
            model or None,
            api or ApiOptions(),
            batch or BatchOptions(),
            monitoring or MonitoringOptions(),
        )
    except LLMBatchError as error:
        return state_for(error)
    except TerminationSignal as termination:
        raise ended_by(termination) from termination


def _redrive_all(
    output: str,
    given: LLMProvider | str | None,
    only: list[ErrorKind] | None,
    model: str | None,
    api: ApiOptions,
    batch: BatchOptions,
    monitoring: MonitoringOptions,
) -> Summary:
    check_provider_named(given, api)
    reference = reference_to(given, api, batch)
    provider = resolve_provider(reference)
    asked, owner = model or model_of(output), runtime.deployment.name
    budget = budget_of(batch, provider, asked, output, now=datetime.now(UTC), owner=owner)

    redrive = open_redrive(output, kinds=only or None, model=model, options=run_options(batch, budget=budget))
    redrive = replace(redrive, run=replace(redrive.run, spread=over_processes()))
    return run_chunks(
        redrive.run,
        lambda chunk: redrive_chunk.submit(redrive, chunk, reference),
        provider,
        monitoring=monitoring,
        max_error_share=batch.max_error_share,
    )
