"""The flow `batch_inference`: documents in, one Parquet row per document out, watched in the Prefect UI."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect import flow, get_client, runtime
from prefect.context import FlowRunContext
from pydantic import JsonValue, ValidationError

from prefect_llm.blocks import LLMProvider, resolve_provider
from prefect_llm.errors import InvalidInput, LLMBatchError
from prefect_llm.flows.carrying_out import TASK_RUNNER, carried_out, failed, window
from prefect_llm.flows.form import check_someone_is_asked, given_in, name_of, reference_to
from prefect_llm.report import Summary
from prefect_llm.settings import (
    ApiOptions,
    BatchOptions,
    DocumentOptions,
    MonitoringSection,
    RunSettings,
    budget_of,
    check,
    output_directory,
    run_spec,
    siblings_of,
)
from prefect_llm.tasks import infer_chunk, load_documents


@flow(
    name="batch-inference",
    description="Documents in, one Parquet row per document out; every request limited, retried and priced.",
    task_runner=TASK_RUNNER,
)
def batch_inference(
    input: str,
    output: str,
    provider: LLMProvider | str | None = None,
    model: str | None = None,
    prompt: str | None = None,
    prompt_file: str | None = None,
    system: str | None = None,
    answer_schema: dict[str, JsonValue] | str | None = None,
    row_params: str | None = None,
    documents: DocumentOptions | None = None,
    api: ApiOptions | None = None,
    batch: BatchOptions | None = None,
    monitoring: MonitoringSection | None = None,
    keep_raw: bool = False,
) -> Summary:
    """Ask a model about every document and write the answers as Parquet.

    Args:
        input: File, directory, glob or URL: Parquet, CSV, JSON Lines, text or Markdown files.
        output: Directory or URL of the run; may hold `{scheduled:%Y-%m-%d}` and `{flow_run_id}`. The same
            directory again goes on where an earlier run stopped.
        provider: A saved LLM Provider block or its name; leave empty to give `api.base_url` instead.
        model: The model to ask; the provider's default model if empty.
        prompt: Jinja2 template with the document's fields, as `Summarise: {{ text }}`. Without prompt and
            prompt_file the column `messages` is sent as it is.
        prompt_file: A file that holds the template.
        system: Template of the system message.
        answer_schema: JSON schema the answer must satisfy, or a file that holds it; fills the column `output`.
        row_params: Column with parameters per document: a struct or JSON text.
        documents: How the input is read.
        api: How requests are shaped, retried and priced.
        batch: How much is asked at once, and when to stop.
        monitoring: How often figures are logged.
        keep_raw: Keep every answer as it came, in the column `raw`.

    Returns the summary. Raises the `LLMBatchError` that refused or stopped the run; the flow run's state is
    then Failed, by the name of the reason.
    """
    sections: dict[str, dict[str, Any]] = {
        "documents": given_in(documents) | {"input": input},
        "prompt": {
            "prompt": prompt,
            "prompt_file": prompt_file,
            "system": system,
            "schema": answer_schema if isinstance(answer_schema, str) else None,
            "row_params": row_params,
        },
        "api": given_in(api) | {"model": model, "provider": name_of(provider)},
        "batch": given_in(batch),
        "output": {"output": output, "keep_raw": keep_raw},
        "monitoring": given_in(monitoring),
    }
    try:
        settings = _checked(sections)
        return _infer_all(settings, provider, None if isinstance(answer_schema, str) else answer_schema)
    except LLMBatchError as error:
        return failed(error)


def _checked(sections: dict[str, dict[str, Any]]) -> RunSettings:
    """The settings, with `InvalidInput` for what the form lets through; a reason a line, in the form's words."""
    try:
        settings = RunSettings.model_validate(sections)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise InvalidInput(
            "\n".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in faults)
        ) from error
    check_someone_is_asked(settings.api.provider, settings.api)
    if settings.api.provider is None and settings.api.model is None:
        raise InvalidInput("no model: only a block has a default model, so give one")
    check(settings)
    return settings


def _infer_all(
    settings: RunSettings, given: LLMProvider | str | None, schema: dict[str, JsonValue] | None
) -> Summary:
    reference = reference_to(given, settings.api, settings.batch)
    provider = resolve_provider(reference)
    assert settings.documents.input is not None
    assert settings.output.output is not None
    scheduled = _scheduled()
    output = output_directory(settings.output.output, scheduled=scheduled, flow_run_id=_flow_run_id())
    spec = run_spec(settings, default_model=provider.model, schema=schema)
    run = load_documents(
        settings.documents.input,
        output,
        spec,
        stop_error_share=settings.batch.stop_error_share,
        flush_interval_s=settings.batch.flush_interval,
        reuse=settings.batch.reuse,
        budget=budget_of(
            settings.batch,
            provider,
            spec.prompt.model,
            settings.output.output,
            now=scheduled,
            owner=runtime.deployment.name,
        ),
        siblings=siblings_of(settings),
    )
    return carried_out(
        run,
        lambda chunk: infer_chunk.submit(run, chunk, reference),
        window(run, provider),
        stats_interval_s=settings.monitoring.stats_interval_seconds,
        max_error_share=settings.batch.max_error_share,
    )


def _scheduled() -> datetime:
    """The flow run's scheduled time: a nightly run that starts late still gets its own night's directory.

    As part of another flow it is that one's: only the outermost was scheduled, and only it stays in a retry.
    """
    context = FlowRunContext.get()
    flow_run = context.flow_run if context is not None else None
    if flow_run is not None and flow_run.parent_task_run_id is not None:
        with get_client(sync_client=True) as client:
            flow_run = client.read_flow_run(UUID(runtime.flow_run.root_flow_run_id))
    if flow_run is None or flow_run.expected_start_time is None:
        return datetime.now(UTC)
    return flow_run.expected_start_time


def _flow_run_id() -> str | None:
    context = FlowRunContext.get()
    return str(context.flow_run.id) if context is not None and context.flow_run is not None else None
