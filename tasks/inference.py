"""Task: infer one chunk. The unit of Prefect's retries: hundreds to thousands of documents, never one."""

from __future__ import annotations

import logging
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_llm.blocks import LLMProvider, ProviderReference, resolve_provider
from prefect_llm.run.chunk import infer_chunk as infer
from prefect_llm.run.in_thread import check_may_block
from prefect_llm.run.reference import RunReference
from prefect_llm.store import ChunkStats
from prefect_llm.tasks.naming import named
from prefect_llm.tasks.retries import ASKING
from prefect_llm.tasks.run_log import core_log, log_of_run, work_of
from prefect_llm.tasks.shared_limit import limits_shared

logger = logging.getLogger(__name__)


def chunk_name(parameters: dict[str, Any]) -> str:
    """`infer-chunk-3 (rows 3,000-3,999 of 40,000)`."""
    return f"infer-chunk-{parameters['chunk']}{rows_in_words(parameters['run'], parameters['chunk'])}"


def rows_in_words(run: RunReference, chunk: int) -> str:
    """The rows of a chunk, from 0, as the end of its task run's name."""
    rows = run.rows_of(chunk)
    return f" (rows {rows.start:,}-{rows.stop - 1:,} of {run.rows:,})"


@task(name="infer-chunk", task_run_name=named(chunk_name), cache_policy=NO_CACHE, **ASKING)
def infer_chunk(run: RunReference, chunk: int, provider: LLMProvider | ProviderReference | str) -> ChunkStats:
    """Ask every document of one chunk of an opened run and write its part.

    `provider` is a saved block's name, a reference, or the loaded block. Returns the chunk's counters. Raises
    the `RunError` that stopped the run; then the chunk stays pending.
    """
    check_may_block("infer_chunk")
    with core_log():
        asked = resolve_provider(provider)
        with limits_shared(asked):
            stats = infer(run, chunk, asked)
    log_of_run(logger).info("chunk %s done in %.1f s: %s", chunk, stats.seconds, work_of(stats))
    return stats
