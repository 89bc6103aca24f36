"""The flow `batch_inference`: documents in, one Parquet row per document out, watched in the Prefect UI."""

from __future__ import annotations

from copy import copy
from functools import wraps
from typing import Annotated, Any, cast

from prefect import flow, runtime
from prefect.exceptions import TerminationSignal
from pydantic import JsonValue

from prefect_llm.blocks import LLMProvider, resolve_provider
from prefect_llm.blocks.prefect_calls import patient_client
from prefect_llm.flows.approval import ApprovalChoice, ApprovalOptions, require_approval
from prefect_llm.flows.execution import TASK_RUNNER, run_chunks, state_for
from prefect_llm.flows.form import (
    Api,
    Batch,
    Documents,
    Monitoring,
    ProviderChoice,
    Question,
    Schema,
    Sections,
    Text,
    form_settings,
    parameters_of,
    reference_to,
    schema_in,
    titled,
)
from prefect_llm.flows.naming import batch_name
from prefect_llm.flows.output_path import output_at, scheduled_at
from prefect_llm.flows.signals import ended_by
from prefect_llm.report import Summary
from prefect_llm.run.in_thread import check_may_block
from prefect_llm.settings import RunSettings, budget_of, check, run_spec, siblings_of
from prefect_llm.tasks import infer_chunk, load_documents
from prefect_llm.values.errors import LLMBatchError


@flow(
    name="batch-inference",
    description="Documents in, one Parquet row per document out; every request limited, retried and priced.",
    task_runner=TASK_RUNNER,
    flow_run_name=batch_name,
)
def batch_inference(
    input: Annotated[str, titled("Input")],
    output: Annotated[str, titled("Output")],
    provider: Annotated[ProviderChoice, titled("Provider")] = None,
    model: Annotated[Text, titled("Model")] = "",
    prompt: Annotated[Text, titled("Prompt")] = "",
    prompt_file: Annotated[Text, titled("Prompt file")] = "",
    system: Annotated[Text, titled("System message")] = "",
    answer_schema: Annotated[Schema, titled("Answer schema")] = None,
    row_params: Annotated[Text, titled("Row parameters")] = "",
    documents: Annotated[Documents, titled("Documents")] = None,
    api: Annotated[Api, titled("Requests and prices")] = None,
    batch: Annotated[Batch, titled("Pace, budget and failures")] = None,
    monitoring: Annotated[Monitoring, titled("Log")] = None,
    keep_raw: Annotated[bool, titled("Keep raw answers")] = False,
    approval: Annotated[ApprovalChoice, titled("Approval")] = None,
) -> Summary:
    """Ask a model about every document and write the answers as Parquet.

    Args:
        input: File, directory, glob or URL of Parquet, CSV, JSON Lines, text or Markdown files, as a worker sees it.
        output: Directory (on a worker an absolute path) or URL of the run; may hold `{scheduled:%Y-%m-%d}`,
            `{scheduled:%Y-%m-%d@Europe/Berlin}` and `{flow_run_id}`. The same directory again goes on where an
            earlier run stopped.
        provider: Who is asked: a saved LLM Provider block, with its key, limits and prices. None only where a
            base URL is given below, under Requests and prices.
        model: The model to ask; the provider's default model if empty.
        prompt: What is asked of each document, with its fields in double braces, as `Summarise: {{ text }}` (a
            Jinja2 template). If empty: the prompt file, else the column `messages` as it is.
        prompt_file: A file that holds the prompt, instead of writing it above.
        system: The system message, a template like the prompt; none if empty.
        answer_schema: JSON schema that every answer must satisfy, or a file that holds it; fills the column `output`.
        row_params: A column with parameters of each document, a struct or JSON text; none if empty.
        documents: Which columns are read and kept, and how many documents are asked.
        api: Output limit, temperature, timeouts, retries, fallbacks and prices. Defaults are the block's.
        batch: Concurrency, rate limits, budget, reuse, and how many documents may fail. Defaults are the block's.
        monitoring: How often figures are logged, and which error share alarms.
        keep_raw: Keep every answer as it came, in the column `raw`.
        approval: Estimate first, and wait for a person to approve that; leave empty to begin at once.

    Returns the summary. Raises the `LLMBatchError` that refused or stopped the run; the flow run's state is
    then Failed, named after the reason, and Cancelled where the estimate was rejected.
    """
    try:
        check_may_block("batch_inference")
        question = Question(provider, model, prompt, prompt_file, system, answer_schema, row_params)
        sections = Sections(documents, api, batch, monitoring)
        settings = form_settings(input, output, question, sections, keep_raw=keep_raw)
        check(settings)
        return _infer_all(settings, provider or None, schema_in(answer_schema), approval)
    except LLMBatchError as error:
        return state_for(error)
    except TerminationSignal as termination:
        raise ended_by(termination) from termination


def infer_with(settings: RunSettings) -> Summary:
    """Run the flow with checked settings. The page of the flow run shows them as parameters; none is parsed again."""

    @wraps(batch_inference.fn)
    def carry_out(**_: Any) -> Summary:
        try:
            return _infer_all(settings, settings.api.provider, None, None)
        except LLMBatchError as error:
            return state_for(error)

    flow_of_settings: Any = copy(batch_inference)
    flow_of_settings.fn = carry_out
    with patient_client():  # what comes before the flow's own code, too
        return cast(Summary, flow_of_settings(**parameters_of(settings)))


def _infer_all(
    settings: RunSettings,
    given: LLMProvider | str | None,
    schema: dict[str, JsonValue] | None,
    approval: ApprovalOptions | None,
) -> Summary:
    assert settings.documents.input is not None
    assert settings.output.output is not None
    reference = reference_to(given, settings.api, settings.batch)
    provider = resolve_provider(reference)
    scheduled = scheduled_at()
    spec = run_spec(settings, default_model=provider.model, schema=schema)

    run = load_documents(
        settings.documents.input,
        output_at(settings.output.output, scheduled),
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
            prompt=spec.prompt,
        ),
        siblings=siblings_of(settings),
    )
    if approval is not None:
        run = require_approval(run, reference, approval)

    return run_chunks(
        run,
        lambda chunk: infer_chunk.submit(run, chunk, reference),
        provider,
        monitoring=settings.monitoring,
        max_error_share=settings.batch.max_error_share,
    )
