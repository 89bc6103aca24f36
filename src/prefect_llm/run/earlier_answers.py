"""Reuse of earlier runs: which runs they are, and the rows they have for a chunk."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from prefect_llm.documents import StagedChunk
from prefect_llm.reuse.earlier_runs import EarlierRuns, previous_runs, still_there
from prefect_llm.run.reference import RunReference
from prefect_llm.run.rendering import Rendered
from prefect_llm.run.spec import RunSpec
from prefect_llm.store import PREVIOUS, JournalEntry, Manifest, RunDirectory, check_owner
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
    """A row for each of the requests that this provider has answered in an earlier run."""
    wanted = {row_index: each.fingerprint for row_index, each in requests.items() if isinstance(each, Request)}
    found = earlier.find(set(wanted.values()), provider.name, spec.serves)
    return [
        JournalEntry(row_index, replace(found[fingerprint], id=staged.ids[row_index]))
        for row_index, fingerprint in wanted.items()
        if fingerprint in found
    ]


def find_earlier_runs(
    run: RunReference, manifest: Manifest, reuse: str, siblings: str | None = None
) -> tuple[str, ...]:
    """The directories whose answers the run takes, recorded in its manifest before anything is asked.

    `reuse` and `siblings` are as in `RunOptions`.
    """
    if not run.pending:
        return ()
    spec = RunSpec.from_json(manifest.spec)
    if reuse != PREVIOUS:
        urls: tuple[str, ...] = (RunDirectory.open(reuse).url,)
    elif manifest.reuse is not None:
        urls = still_there(manifest.reuse)
        EarlierRuns(urls, keep_raw=spec.keep_raw).check()
        return urls
    elif siblings is None:
        return ()
    else:
        urls = previous_runs(siblings, manifest.run_id)
        EarlierRuns(urls, keep_raw=spec.keep_raw).check()
        found = f"answers of {', '.join(urls)} are taken" if urls else f"no earlier run below {siblings}"
        logger.info("reuse: %s", found)

    if urls != manifest.reuse:
        directory = RunDirectory.open(run.url)
        check_owner(directory.folder, run.epoch)
        directory.write_manifest(directory.check_run().changed(reuse=urls))
    return urls
