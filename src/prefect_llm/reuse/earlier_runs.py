"""Which documents of a chunk need not be asked: earlier runs have paid for the same requests."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from prefect_llm.reuse.answer_index import AnswerIndex
from prefect_llm.store import ResultRow, RunDirectory, runs_below
from prefect_llm.values.errors import InvalidInput

MOST_PREVIOUS = 3
INDEXES_KEPT = MOST_PREVIOUS
INVOCATIONS_KEPT = 64

logger = logging.getLogger(__name__)


def previous_runs(base: str, run_id: str | None) -> tuple[str, ...]:
    """The directories below `base` from which the run `run_id` loses no paid answer, newest first.

    The newest complete run has, reused rows included, what those before it had paid for. Of the unfinished ones after
    it, stopped or killed, the newest two are looked into before it, for what they had come to pay.
    """
    runs = [(directory, manifest) for directory, manifest in runs_below(base) if manifest.run_id != run_id]
    runs.sort(key=lambda run: run[1].created_at, reverse=True)
    complete = next((place for place, (_, manifest) in enumerate(runs) if manifest.state == "completed"), len(runs))
    chosen = runs[: min(complete, MOST_PREVIOUS - 1)] + runs[complete : complete + 1]
    return tuple(directory.url for directory, _ in chosen)


def check_answers(urls: Iterable[str], *, keep_raw: bool) -> None:
    """Read the answers of these runs. `InvalidInput` for what is no run, or cannot be read."""
    for url in urls:
        _answers(url, _held(url), keep_raw)


def still_there(urls: Iterable[str]) -> tuple[str, ...]:
    """Those of a run's recorded directories that hold a run as yet; of others the log says that they are gone."""
    kept = []
    for url in urls:
        if RunDirectory.open(url).manifest() is None:
            logger.warning("reuse: %s, whose answers this run took before, is gone: the run goes on without it", url)
        else:
            kept.append(url)
    return tuple(kept)


def reused_rows(
    urls: Sequence[str],
    invocation: str,
    fingerprints: Set[str],
    provider: str,
    *,
    keep_raw: bool,
    serves: Callable[[ResultRow], bool],
) -> Mapping[str, ResultRow]:
    """The rows, by fingerprint, of the requests that this provider (the host) has answered in the runs at `urls`.

    The first run counts whose answer `serves`.
    """
    found: dict[str, ResultRow] = {}
    for url in urls:
        missing = fingerprints - found.keys()
        rows = _answers(url, _held_for(invocation, url), keep_raw).find(missing, provider)
        found |= {fingerprint: row for fingerprint, row in rows.items() if serves(row)}
    return found


class _Held(NamedTuple):
    """What a directory holds: a redrive replaces parts and leaves as many, so it is told by `updated_at`."""

    run_id: str
    updated_at: datetime
    chunks: int
    has_raw: bool


def _held(url: str) -> _Held:
    directory = RunDirectory.open(url)
    if (manifest := directory.manifest()) is None:
        raise InvalidInput(f"reuse: {url} is not the directory of a run: give the --output of an earlier one")
    chunks = len(directory.complete_chunks())
    return _Held(manifest.run_id, manifest.updated_at, chunks, bool(manifest.spec.get("keep_raw")))


@lru_cache(maxsize=INVOCATIONS_KEPT)
def _held_for(invocation: str, url: str) -> _Held:
    """Looked up once for all chunks of an invocation."""
    return _held(url)


@lru_cache(maxsize=INDEXES_KEPT)
def _answers(url: str, held: _Held, keep_raw: bool) -> AnswerIndex:
    return AnswerIndex(RunDirectory.open(url), raw=held.has_raw and keep_raw)
