"""Finds answers that earlier runs have already paid for."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from threading import Lock

from prefect_llm.reuse.answer_index import AnswerIndex
from prefect_llm.store import ResultRow, RunDirectory, runs_below
from prefect_llm.values.errors import InvalidInput

MOST_PREVIOUS = 3
"""Each is read and indexed before the first request, at 24 bytes an answer."""

logger = logging.getLogger(__name__)


def previous_runs(base: str, run_id: str | None) -> tuple[str, ...]:
    """The runs below `base` whose answers the run `run_id` takes, newest first.

    The newest complete run includes, as reused rows, what the runs before it paid for. Before it come the newest two
    of the unfinished runs after it, for the answers they paid for until they were stopped or killed.
    """
    runs = [(directory, manifest) for directory, manifest in runs_below(base) if manifest.run_id != run_id]
    runs.sort(key=lambda run: run[1].created_at, reverse=True)
    complete = next((at for at, (_, manifest) in enumerate(runs) if manifest.state == "completed"), len(runs))
    chosen = runs[: min(complete, MOST_PREVIOUS - 1)] + runs[complete : complete + 1]
    return tuple(directory.url for directory, _ in chosen)


class EarlierRuns:
    """The answers of earlier runs. Each run is indexed at its first look-up. Thread-safe.

    `kept` are the columns of answers that are taken where the earlier run has kept them: `raw`, `reasoning`.
    """

    def __init__(self, urls: Sequence[str], kept: Sequence[str] = ()) -> None:
        self.urls = tuple(urls)
        self._kept = tuple(kept)
        self._indexes: dict[str, AnswerIndex] = {}
        self._not_taken: Counter[str] = Counter()
        self._lock = Lock()

    @property
    def not_taken(self) -> Counter[str]:
        """How many answers were not taken so far, since another provider gave them: by its host."""
        with self._lock:
            return Counter(self._not_taken)

    def read(self) -> EarlierRuns:
        """Index every run, and return itself; `InvalidInput` for a directory without a run, or one that fails."""
        for url in self.urls:
            self._index_of(url)
        return self

    def find(
        self, fingerprints: Set[str], provider: str, serves: Callable[[ResultRow], bool]
    ) -> Mapping[str, ResultRow]:
        """The rows, by fingerprint, of the requests that this provider (the host) has answered.

        Of several runs the first counts whose answer `serves`.
        """
        found: dict[str, ResultRow] = {}
        for url in self.urls:
            missing = fingerprints - found.keys()
            rows = self._index_of(url).find(missing, provider)
            found |= {fingerprint: row for fingerprint, row in rows.items() if serves(row)}
        return found

    def leave(self, fingerprints: Iterable[str], serves: Callable[[ResultRow], bool]) -> Counter[str]:
        """Count the answers of any provider to these requests, one each, as not taken; returns how many, by host."""
        missing, left = list(fingerprints), Counter[str]()
        for url in self.urls:
            rows = self._index_of(url).find(set(missing), None)
            answered = {fingerprint: row.provider for fingerprint, row in rows.items() if serves(row)}
            left.update(answered[each] or "" for each in missing if each in answered)
            missing = [each for each in missing if each not in answered]
        with self._lock:
            self._not_taken.update(left)
        return left

    def _index_of(self, url: str) -> AnswerIndex:
        with self._lock:  # also while the run is read: the other chunks need the same index
            if url not in self._indexes:
                self._indexes[url] = _read_index(url, self._kept)
            return self._indexes[url]


NO_EARLIER_RUNS = EarlierRuns(())


def _read_index(url: str, kept: Sequence[str]) -> AnswerIndex:
    directory = RunDirectory.open(url)
    if (manifest := directory.manifest()) is None:
        raise InvalidInput(f"reuse: {url} is not the directory of a run: give the output of an earlier one")

    return AnswerIndex(directory, [name for name in kept if manifest.spec.get(f"keep_{name}")])


def still_there(urls: Iterable[str]) -> tuple[str, ...]:
    """The recorded directories that still hold a run; a warning is logged for each of the others."""
    kept = []
    for url in urls:
        if RunDirectory.open(url).manifest() is None:
            logger.warning("reuse: %s, whose answers this run took before, is gone: the run goes on without it", url)
        else:
            kept.append(url)
    return tuple(kept)
