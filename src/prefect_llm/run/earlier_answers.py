"""Reuse of earlier runs: which runs they are, and the rows they have for a chunk."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from prefect_llm.documents import StagedChunk
from prefect_llm.reuse.earlier_runs import NO_EARLIER_RUNS, EarlierRuns, previous_runs, still_there
from prefect_llm.run.reference import RunReference
from prefect_llm.run.rendering import Rendered
from prefect_llm.run.spec import RunSpec
from prefect_llm.store import JournalEntry, Manifest, RunDirectory, check_owner
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request

logger = logging.getLogger(__name__)


def earlier_answers(
    earlier: EarlierRuns,
    staged: StagedChunk,
    requests: Mapping[int, Rendered],
    spec: RunSpec,
    provider: Provider,
) -> list[JournalEntry]:
    """A row for each of the requests that this provider has answered in an earlier run.

    Logs a warning at the first answer that is not taken because another provider gave it: it will be paid again.
    """
    wanted = {row_index: each.fingerprint for row_index, each in requests.items() if isinstance(each, Request)}
    found = earlier.find(set(wanted.values()), provider.name, spec.serves)
    first = not earlier.not_taken
    left = earlier.leave((each for each in wanted.values() if each not in found), spec.serves)
    if left and first:
        logger.warning("%s", not_taken_words(left, provider.name))
    return [
        JournalEntry(row_index, replace(found[fingerprint], id=staged.ids[row_index]))
        for row_index, fingerprint in wanted.items()
        if fingerprint in found
    ]


def not_taken_words(left: Counter[str], provider: str | None = None) -> str:
    """How many answers were not taken, and whose; without `provider`, in all."""
    whose = " and ".join(f"{count:,} of {host}" for host, count in sorted(left.items()))
    if provider is None:
        return f"reuse: {left.total():,} answers of another provider were not taken ({whose})"
    return (
        f"reuse: answers are not taken, since another provider gave them ({whose} so far) and this run asks "
        f"{provider}: reuse goes by the host of the base URL"
    )


def named_runs(reuse: str, spec: RunSpec) -> EarlierRuns:
    """The run in the directory `reuse`, indexed; `InvalidInput` if it holds none."""
    return EarlierRuns((RunDirectory.open(reuse).url,), spec.kept_of_answers).read()


def find_earlier_runs(
    run: RunReference, manifest: Manifest, named: EarlierRuns | None, siblings: str | None = None
) -> EarlierRuns:
    """The runs whose answers the run takes, indexed, and recorded in its manifest before anything is asked.

    Those `named`, else those recorded before, else those before this run below `siblings`.
    """
    if not run.pending:
        return NO_EARLIER_RUNS
    kept = RunSpec.from_json(manifest.spec).kept_of_answers
    if named is None and manifest.reuse is not None:
        return EarlierRuns(still_there(manifest.reuse), kept).read()
    if named is None and siblings is None:
        return NO_EARLIER_RUNS

    earlier = named
    if earlier is None:
        earlier = EarlierRuns(previous_runs(siblings or "", manifest.run_id), kept).read()
        taken = f"answers of {', '.join(earlier.urls)} are taken"
        logger.info("reuse: %s", taken if earlier.urls else f"no earlier run below {siblings}")

    if earlier.urls != manifest.reuse:
        directory = RunDirectory.open(run.url)
        check_owner(directory.folder, run.epoch)
        directory.write_manifest(directory.check_run().changed(reuse=earlier.urls))
    return earlier
