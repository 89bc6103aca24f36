"""Runs the pending chunks of an opened run in threads of this process, as the command line does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from prefect_llm.report import Summary
from prefect_llm.run.chunk import infer_chunk
from prefect_llm.run.context import context_of
from prefect_llm.run.finishing import finish_run, release_run
from prefect_llm.run.reference import RunReference
from prefect_llm.store import ChunkStats
from prefect_llm.values.errors import Interrupted, RunError
from prefect_llm.values.provider import Provider

MOST_CHUNKS_AT_ONCE = 64
"""Each is a thread that waits for its engine, and holds its chunk's documents and rows in memory."""
SIGNAL_LATENCY_S = 0.5
"""A second signal ends the process within this time."""


def infer_pending(run: RunReference, provider: Provider) -> Summary:
    """Infer the pending chunks in parallel threads of this process, then finish the run.

    A `RunError` becomes part of the summary; anything else is raised once the other chunks have stopped and the
    directory is released.
    """
    return run_in_threads(run, provider, lambda chunk: infer_chunk(run, chunk, provider))


def run_in_threads(run: RunReference, provider: Provider, infer: Callable[[int], ChunkStats]) -> Summary:
    """Call `infer` for every pending chunk, several at once; see `infer_pending` and `chunks_at_once`."""
    try:
        return finish_run(run, *_inferred(run, provider, infer))
    except BaseException:
        release_run(run)
        raise


def _inferred(
    run: RunReference, provider: Provider, infer: Callable[[int], ChunkStats]
) -> tuple[list[ChunkStats], RunError | None]:
    chunk_stats: list[ChunkStats] = []
    stopped = None
    with ThreadPoolExecutor(chunks_at_once(run, provider), thread_name_prefix="llm-chunk") as pool:
        futures = [pool.submit(infer, chunk) for chunk in run.pending]
        try:
            chunk_stats.extend(future.result() for future in _as_ended(futures))
        except RunError as error:
            stopped = error
        finally:
            if len(chunk_stats) < len(futures):
                context_of(run).stop.set(stopped or Interrupted("another chunk of this run failed"))
                pool.shutdown(wait=False, cancel_futures=True)
                deque(_as_ended(future for future in futures if not future.cancelled()), maxlen=0)

    return chunk_stats, stopped


def _as_ended(futures: Iterable[Future[ChunkStats]]) -> Iterator[Future[ChunkStats]]:
    """Each as it ends. Waits in short slices: a signal delivered to another thread does not wake this one."""
    running = set(futures)
    while running:
        ended, running = wait(running, timeout=SIGNAL_LATENCY_S, return_when=FIRST_COMPLETED)
        yield from ended


def chunks_at_once(run: RunReference, provider: Provider) -> int:
    """Enough chunks to fill all slots, and one more, which fills the slots that a draining chunk frees."""
    filling = -(-provider.limits.most_in_flight // run.chunk_rows)
    return min(filling + 1, MOST_CHUNKS_AT_ONCE, max(len(run.pending), 1))
