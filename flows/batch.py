"""The flow `batch_inference`: documents in, one Parquet row per document out, watched in the Prefect UI."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from prefect import flow, get_client, runtime
from prefect.context import FlowRunContext
from prefect.exceptions import TerminationSignal
from prefect.futures import PrefectFuture
from prefect.states import Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from pydantic import JsonValue, ValidationError

from prefect_llm.blocks import LLMProvider, ProviderReference, resolve_provider
from prefect_llm.errors import Interrupted, InvalidInput, LLMBatchError, RunError, TooManyFailedRows
from prefect_llm.flows.progress import progress_shown
from prefect_llm.records import Provider
from prefect_llm.report import Summary
from prefect_llm.run import MOST_CHUNKS_AT_ONCE, Run, check_failed_share, chunks_at_once, release_run
from prefect_llm.run import finish_run as finish
from prefect_llm.settings import (
    ApiOptions,
    BatchOptions,
    DocumentOptions,
    MonitoringSection,
    RunSettings,
    check,
    output_directory,
    run_spec,
)
from prefect_llm.store import ChunkFigures
from prefect_llm.tasks import finish_run, infer_chunk, load_documents

_INTERRUPTED = "the flow run was interrupted: finished chunks are kept, the same run goes on from there"
_RUNNER = cast(TaskRunner[PrefectFuture[Any]], ThreadPoolTaskRunner(max_workers=MOST_CHUNKS_AT_ONCE))


@flow(
    name="batch-inference",
    description="Documents in, one Parquet row per document out; every request limited, retried and priced.",
    task_runner=_RUNNER,
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
        "documents": _given(documents) | {"input": input},
        "prompt": {
            "prompt": prompt,
            "prompt_file": prompt_file,
            "system": system,
            "schema": answer_schema if isinstance(answer_schema, str) else None,
            "row_params": row_params,
        },
        "api": _given(api) | {"model": model, "provider": _name(provider)},
        "batch": _given(batch),
        "output": {"output": output, "keep_raw": keep_raw},
        "monitoring": _given(monitoring),
    }
    try:
        settings = _checked(sections)
        return _infer_all(settings, provider, None if isinstance(answer_schema, str) else answer_schema)
    except LLMBatchError as error:
        return cast(Summary, Failed(name=_state_name(error), message=str(error), data=error))


def _checked(sections: dict[str, dict[str, Any]]) -> RunSettings:
    """The settings, with `InvalidInput` for what the form lets through; a reason a line, in the form's words."""
    try:
        settings = RunSettings.model_validate(sections)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise InvalidInput(
            "\n".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in faults)
        ) from error
    if settings.api.provider is None and settings.api.base_url is None:
        raise InvalidInput("no provider: choose a saved LLM Provider block, or give api.base_url")
    if settings.api.provider is None and settings.api.model is None:
        raise InvalidInput("no model: only a block has a default model, so give one")
    check(settings)
    return settings


def _infer_all(
    settings: RunSettings, given: LLMProvider | str | None, schema: dict[str, JsonValue] | None
) -> Summary:
    reference = _reference(given, settings)
    provider = resolve_provider(reference)
    assert settings.documents.input is not None
    assert settings.output.output is not None
    output = output_directory(settings.output.output, scheduled=_scheduled(), flow_run_id=_flow_run_id())
    run = load_documents(
        settings.documents.input,
        output,
        run_spec(settings, default_model=provider.model, schema=schema),
        stop_error_share=settings.batch.stop_error_share,
        flush_interval_s=settings.batch.flush_interval,
    )
    try:
        return _carried_out(run, reference, provider, settings)
    finally:
        release_run(run)


def _carried_out(run: Run, reference: ProviderReference, provider: Provider, settings: RunSettings) -> Summary:
    figures: list[ChunkFigures] = []
    stopped = None
    try:
        with progress_shown(run, settings.monitoring.stats_interval_seconds):
            for each in _inferred(run, reference, chunks_at_once(run, provider)):
                figures.append(each)  # noqa: PERF402 - what came before an error counts
    except RunError as error:
        stopped = error
    except (KeyboardInterrupt, TerminationSignal):
        finish(run, figures, Interrupted(_INTERRUPTED))  # the directory says so; a dying run starts no task
        raise
    summary = finish_run(run, figures, stopped)
    try:
        if stopped is not None:
            raise stopped
        check_failed_share(summary, settings.batch.max_error_share)
    except LLMBatchError as error:
        error.summary = summary
        raise
    return summary


def _reference(given: LLMProvider | str | None, settings: RunSettings) -> ProviderReference:
    """What chunk tasks are handed: a name wherever there is one, and the loaded block only if never saved."""
    api = ApiOptions.model_validate(settings.api.model_dump(exclude_unset=True, exclude={"provider", "model"}))
    if isinstance(given, LLMProvider):
        given = given._block_document_name or given
    return ProviderReference(block=given, api=api, batch=settings.batch)


def _inferred(run: Run, provider: ProviderReference, at_once: int) -> Iterator[ChunkFigures]:
    """Each chunk's figures as it ends. A window of task runs, so that a stopped run starts no more of them."""
    waiting = deque(run.pending)
    ended: queue.SimpleQueue[PrefectFuture[ChunkFigures]] = queue.SimpleQueue()
    under_way: set[PrefectFuture[ChunkFigures]] = set()
    try:
        while waiting or under_way:
            while waiting and len(under_way) < at_once:
                future = infer_chunk.submit(run, waiting.popleft(), provider)
                under_way.add(future)
                future.add_done_callback(ended.put)
            future = ended.get()
            under_way.remove(future)
            yield future.result()
    except (KeyboardInterrupt, TerminationSignal):
        run.live.stop.set(Interrupted(_INTERRUPTED))
        raise
    except BaseException as error:
        run.live.stop.set(error if isinstance(error, RunError) else Interrupted("another chunk failed"))
        raise
    finally:
        for future in under_way:
            future.wait()


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


def _name(provider: LLMProvider | str | None) -> str | None:
    if isinstance(provider, LLMProvider):
        return provider._block_document_name or provider.get_block_type_slug()
    return provider


def _given(options: DocumentOptions | ApiOptions | BatchOptions | MonitoringSection | None) -> dict[str, Any]:
    return options.model_dump(exclude_unset=True) if options is not None else {}


def _state_name(error: LLMBatchError) -> str:
    """CONTRACT, exits: the Prefect state is named after the reason."""
    if isinstance(error, InvalidInput):
        return "Refused"
    return error.kind if isinstance(error, (RunError, TooManyFailedRows)) else "Failed"
