"""The flow `estimate_cost`: what `batch_inference` would cost, as a value and as a markdown artifact."""

from __future__ import annotations

from typing import Annotated, cast

from prefect import flow, runtime
from pydantic import JsonValue

from prefect_llm.blocks import LLMProvider, resolve_provider
from prefect_llm.estimating import Estimate, SampleOptions, sample_directory
from prefect_llm.flows.execution import TASK_RUNNER, state_for
from prefect_llm.flows.form import (
    Api,
    Batch,
    Choice,
    Documents,
    ProviderChoice,
    Question,
    Schema,
    Sections,
    Text,
    form_settings,
    reference_to,
    schema_in,
    titled,
)
from prefect_llm.flows.output_path import output_at, scheduled_at
from prefect_llm.run.in_thread import check_may_block
from prefect_llm.settings import RunSettings, budget_of, check_estimate, run_spec, siblings_of
from prefect_llm.tasks import estimate_documents
from prefect_llm.values.errors import InvalidInput, LLMBatchError

Models = Annotated[list[str] | None, Choice("These", "None")]


@flow(
    name="estimate-cost",
    description="What a run would cost and how long it would take, before it is begun.",
    task_runner=TASK_RUNNER,
)
def estimate_cost(
    input: Annotated[str, titled("Input")],
    output: Annotated[Text, titled("Output")] = "",
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
    sample: Annotated[int, titled("Sample")] = 0,
    seed: Annotated[int, titled("Seed")] = 0,
    models: Annotated[Models, titled("Other models")] = None,
) -> Estimate:
    """Estimate what `batch_inference` would cost with the same parameters.

    Args:
        input: File, directory, glob or URL of Parquet, CSV, JSON Lines, text or Markdown files, as a worker sees it.
        output: The run's directory: what it has answered is not counted, and a sample's answers are kept beside it.
        provider: Who is asked: a saved LLM Provider block, with its key, limits and prices. None only where a
            base URL is given below, under Requests and prices.
        model: The model to ask; the provider's default model if empty.
        prompt: What is asked of each document, with its fields in double braces, as `Summarise: {{ text }}` (a
            Jinja2 template). If empty: the prompt file, else the column `messages` as it is.
        prompt_file: A file that holds the prompt, instead of writing it above.
        system: The system message, a template like the prompt; none if empty.
        answer_schema: JSON schema that every answer must satisfy, or a file that holds it.
        row_params: A column with parameters of each document, a struct or JSON text; none if empty.
        documents: Which columns are read and kept, and how many documents are asked.
        api: Output limit, temperature, timeouts, retries, fallbacks and prices. Defaults are the block's.
        batch: Concurrency, rate limits, budget, and which earlier run's answers are reused. Defaults are the block's.
        sample: Really ask this many requests, drawn at random, 10 at least; 0 asks nothing.
        seed: Seeds the sample: the same seed draws the same documents.
        models: Estimate these models too, by list price: the provider's own, or `PROVIDER/MODEL`.

    Returns the estimate. Raises as `batch_inference` does.
    """
    try:
        check_may_block("estimate_cost")
        question = Question(provider, model, prompt, prompt_file, system, answer_schema, row_params)
        settings = form_settings(input, output or None, question, Sections(documents, api, batch))
        check_estimate(settings, sampled=bool(sample))
        return _estimate(settings, provider or None, schema_in(answer_schema), sample or None, seed, models or [])
    except LLMBatchError as error:
        return cast(Estimate, state_for(error))


def _estimate(
    settings: RunSettings,
    given: LLMProvider | str | None,
    schema: dict[str, JsonValue] | None,
    size: int | None,
    seed: int,
    models: list[str],
) -> Estimate:
    if size is not None and size < 1:
        raise InvalidInput(f"sample is {size}: it counts requests, from 1")
    assert settings.documents.input is not None
    reference = reference_to(given, settings.api, settings.batch)
    provider = resolve_provider(reference)
    spec = run_spec(settings, default_model=provider.model, schema=schema)

    scheduled, template = scheduled_at(), settings.output.output
    output = None if template is None else output_at(template, scheduled)
    options = None
    if size is not None and output is not None and template is not None:
        owner = runtime.deployment.name
        budget = budget_of(
            settings.batch, provider, spec.prompt.model, template, now=scheduled, owner=owner, prompt=spec.prompt
        )
        options = SampleOptions(size, sample_directory(output), seed, budget)

    return estimate_documents(
        settings.documents.input,
        spec,
        reference,
        output=output,
        reuse=settings.batch.reuse,
        siblings=siblings_of(settings),
        sample=options,
        models=models,
    )
