"""Tasks: what a run would cost, as a value and as a markdown artifact."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from prefect_llm.blocks import LLMProvider, ProviderReference, resolve_provider
from prefect_llm.estimating import Estimate, SampleOptions, estimate_input, headline, to_markdown
from prefect_llm.estimating import estimate_run as estimate_pending
from prefect_llm.run.in_thread import check_may_block
from prefect_llm.run.reference import RunReference
from prefect_llm.run.spec import RunSpec
from prefect_llm.tasks.artifacts import may_be_left_out, show_markdown
from prefect_llm.tasks.durable_output import check_durable
from prefect_llm.tasks.naming import of_input, of_run
from prefect_llm.tasks.retries import OPENING
from prefect_llm.tasks.run_log import core_log
from prefect_llm.tasks.shared_limit import limits_shared

ESTIMATE_KEY = "llm-estimate"


@task(name="estimate-documents", task_run_name=of_input("estimate-documents"), cache_policy=NO_CACHE, **OPENING)
def estimate_documents(
    input: str | pa.Table,
    spec: RunSpec,
    provider: LLMProvider | ProviderReference | str,
    *,
    output: str | None = None,
    reuse: str | None = None,
    siblings: str | None = None,
    sample: SampleOptions | None = None,
    models: Sequence[str] = (),
) -> Estimate:
    """What a run over `input` would cost; asks nothing without a `sample`. See `estimating.estimate_input`."""
    if sample is not None:
        check_may_block("estimate_documents")
        check_durable(sample.output)
    with core_log():
        asked = resolve_provider(provider)
        with limits_shared(asked):
            found = estimate_input(
                input,
                spec,
                asked,
                reuse=reuse,
                siblings=siblings,
                output=output,
                sample=sample,
                models=models,
            )
    _show(found)
    return found


@task(name="estimate-run", task_run_name=of_run("estimate-run"), cache_policy=NO_CACHE, **OPENING)
def estimate_run(
    run: RunReference,
    provider: LLMProvider | ProviderReference | str,
    *,
    sample: SampleOptions | None = None,
    models: Sequence[str] = (),
    preview_rows: int = 0,
) -> Estimate:
    """What an opened run has yet to cost; asks nothing without a `sample`, of which `preview_rows` are shown."""
    if sample is not None:
        check_may_block("estimate_run")
    with core_log():
        asked = resolve_provider(provider)
        with limits_shared(asked):
            found = estimate_pending(run, asked, sample=sample, models=models)
    _show(found, preview_rows)
    return found


def _show(found: Estimate, preview_rows: int = 0) -> None:
    with may_be_left_out("the estimate"):
        show_markdown(to_markdown(found, preview_rows), key=ESTIMATE_KEY, description=headline(found))
    get_run_logger().info("%s", headline(found))
