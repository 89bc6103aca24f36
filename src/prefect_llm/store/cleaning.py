"""Removes from a finished run's directory what only resuming needs, above all its copy of the documents."""

from __future__ import annotations

from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.journal import INFLIGHT, journaled
from prefect_llm.store.lease import acquired, release
from prefect_llm.store.manifest import Manifest
from prefect_llm.values.errors import InvalidInput, reason_of

REMOVED = ("_run/input/", "_run/tmp/", INFLIGHT)
"""The snapshot, temporary files and journals. Results, manifest, grants and report stay."""
TRACEBACK = "_run/fault.txt"
"""Written when prefect-llm itself fails; it may quote a document."""


def clean_run(output: str, *, force: bool = False) -> int:
    """Remove them from the completed run in `output`; returns how many files were removed.

    Raises `InvalidInput` if the directory holds no run or a live process owns it, and, unless `force`, if the run is
    unfinished: it could never be finished afterwards.
    """
    directory = RunDirectory.open(output)
    try:
        manifest = directory.check_run()
        if not force and not _is_finished(directory, manifest):
            raise InvalidInput(_what_is_lost(directory, manifest))

        with acquired(directory.folder) as epoch:
            removed = sum(directory.folder.remove_below(prefix) for prefix in REMOVED)
            directory.folder.remove(TRACEBACK)
        release(directory.folder, epoch)
        return removed
    except OSError as error:
        raise InvalidInput(
            f"{output} cannot be cleaned ({reason_of(error)}): let this process write there, and clean it again"
        ) from error


def _is_finished(directory: RunDirectory, manifest: Manifest) -> bool:
    return manifest.state == "completed" and len(directory.complete_chunks()) == manifest.chunks


def _what_is_lost(directory: RunDirectory, manifest: Manifest) -> str:
    complete = directory.complete_chunks()
    written = sum(part.num_rows for part in directory.scan(["id"]))
    answered = sum(len(entries) for chunk, entries in journaled(directory.folder) if chunk not in complete)
    rows = int(manifest.snapshot["rows"])
    return (
        f"{directory.url} is not finished and needs its snapshot: without it, {rows - written:,} of its {rows:,} "
        f"documents never get a result row, {answered:,} answers in its journals included; finish it with "
        "`prefect-llm resume`, or clean it all the same with --force"
    )
