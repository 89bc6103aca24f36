"""Task: ask the failed rows of one chunk again."""

from __future__ import annotations

import logging
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_llm.blocks import LLMProvider, ProviderReference, resolve_provider
from prefect_llm.run.in_thread import check_may_block
from prefect_llm.run.redrive import Redrive
from prefect_llm.run.redrive import redrive_chunk as redrive_failed_rows
from prefect_llm.store import ChunkStats
from prefect_llm.tasks.inference import rows_in_words
from prefect_llm.tasks.naming import named
from prefect_llm.tasks.retries import ASKING
from prefect_llm.tasks.run_log import core_log, log_of_run, work_of
from prefect_llm.tasks.shared_limit import limits_shared

logger = logging.getLogger(__name__)


def chunk_name(parameters: dict[str, Any]) -> str:
    """`redrive-chunk-3 (rows 3,000-3,999 of 40,000)`."""
    redrive, chunk = parameters["redrive"], parameters["chunk"]
    return f"redrive-chunk-{chunk}{rows_in_words(redrive.run, chunk)}"


@task(name="redrive-chunk", task_run_name=named(chunk_name), cache_policy=NO_CACHE, **ASKING)
def redrive_chunk(redrive: Redrive, chunk: int, provider: LLMProvider | ProviderReference | str) -> ChunkStats:
    """Ask the failed rows of one chunk again and replace its part; as `infer_chunk` otherwise."""
    check_may_block("redrive_chunk")
    with core_log():
        asked = resolve_provider(provider)
        with limits_shared(asked):
            stats = redrive_failed_rows(redrive, chunk, asked)
    log_of_run(logger).info("chunk %s redriven in %.1f s: %s", chunk, stats.seconds, work_of(stats))
    return stats
