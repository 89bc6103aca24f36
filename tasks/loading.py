"""Task: check and stage the documents, or reopen the run that the directory holds."""

from __future__ import annotations

import logging
from dataclasses import replace

import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_llm.run.opening import open_run
from prefect_llm.run.options import RunOptions
from prefect_llm.run.reference import FLUSH_INTERVAL_S, RunReference
from prefect_llm.run.spec import RunSpec
from prefect_llm.tasks.durable_output import check_durable
from prefect_llm.tasks.naming import of_input
from prefect_llm.tasks.retries import OPENING
from prefect_llm.tasks.run_log import core_log, log_of_run
from prefect_llm.tasks.runners import over_processes
from prefect_llm.values.budget import RunBudget

logger = logging.getLogger(__name__)


@task(name="load-documents", task_run_name=of_input("load-documents"), cache_policy=NO_CACHE, **OPENING)
def load_documents(
    input: str | pa.Table,
    output: str,
    spec: RunSpec,
    *,
    stop_error_share: float = 0.5,
    flush_interval_s: float = FLUSH_INTERVAL_S,
    reuse: str | None = None,
    siblings: str | None = None,
    budget: RunBudget | None = None,
) -> RunReference:
    """Stage `input` as the snapshot of a run at `output`; asks no model anything.

    `reuse` is an earlier run's directory, or "previous": the runs before this one below `siblings`.
    Returns the run with the chunks still to be inferred: all of a new one, the unfinished of an old one.
    Raises `InvalidInput` for an input, a spec or a directory that will not do.
    """
    check_durable(output)
    with core_log():
        run = open_run(
            input,
            output,
            spec,
            options=RunOptions(
                stop_error_share=stop_error_share,
                flush_interval_s=flush_interval_s,
                reuse=reuse,
                siblings=siblings,
                budget=budget,
            ),
        )
    run = replace(run, spread=over_processes())
    log = log_of_run(logger)
    log.info(
        "%s documents, %s of %s chunks to infer, in %s",
        f"{run.rows:,}",
        len(run.pending),
        -(-run.rows // run.chunk_rows),
        run.url,
    )
    if run.reuse:
        log.info("answers of %s are taken", ", ".join(run.reuse))
    return run
