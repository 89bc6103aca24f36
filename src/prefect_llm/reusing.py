"""Which documents of a chunk need not be asked: an earlier run has paid for the same request."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from prefect_llm.documents import StagedChunk
from prefect_llm.errors import BadDocument, InvalidInput
from prefect_llm.prompts import Prompt
from prefect_llm.records import Provider
from prefect_llm.store import Answers, Entry, ResultRow, RunDirectory

INDEXES_KEPT = 2


def open_answers(url: str) -> Answers:
    """The answers in the run directory at `url`, read once per process and change.

    Raises `InvalidInput` where there is no run.
    """
    directory = RunDirectory.open(url)
    if (manifest := directory.manifest()) is None:
        raise InvalidInput(f"reuse: {url} is not the directory of a run: give the --output of an earlier one")
    return _answers(url, manifest.run_id, manifest.updated_at, len(directory.complete_chunks()))


@lru_cache(maxsize=INDEXES_KEPT)
def _answers(url: str, run_id: str, updated_at: datetime, chunks: int) -> Answers:
    """A redrive replaces parts and leaves as many, so it is told by when the manifest was written."""
    return Answers(RunDirectory.open(url))


def reused_entries(
    answers: Answers, staged: StagedChunk, prompt: Prompt, provider: Provider, done: Collection[int]
) -> list[Entry]:
    """A row for every document, but those at the places in `done`, whose request that provider has answered."""
    wanted = {}
    for place, document_id in enumerate(staged.ids):
        if place in done:
            continue
        try:
            wanted[place] = prompt.request(place, document_id, staged.fields(place)).fingerprint
        except BadDocument:
            continue  # gets its failed row where it would be asked
    found = answers.find(set(wanted.values()), provider.name)
    return [
        Entry(place, replace(row, id=staged.ids[place]))
        for place, fingerprint in wanted.items()
        if (row := found.get(fingerprint)) is not None and _serves(row, prompt)
    ]


def _serves(row: ResultRow, prompt: Prompt) -> bool:
    """Whether the answer would be one today: a cut one is none where it is made a failure."""
    completion = row.outcome.completion
    cut = completion is not None and completion.finish_reason == "length"
    return not (cut and prompt.parameters.fail_truncated)
