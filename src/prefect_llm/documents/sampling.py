"""Some of a snapshot's documents as a snapshot of their own, in another run's folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from prefect_llm.documents.chunk_files import ChunkWriter, read_table, remove_chunks
from prefect_llm.documents.snapshot import Snapshot
from prefect_llm.system.folders import Folder

_CHUNK_ROWS = 1_000


def stage_sample(
    folder: Folder, snapshot: Snapshot, places: Iterable[tuple[int, list[int]]], *, named: str, target: Folder
) -> Snapshot:
    """Copy the documents at these places, chunk by chunk, into the `target` folder.

    Ids and columns stay as they are. `named` tells the sample from others of the same source. Chunks that are in
    `target` are replaced.
    """
    remove_chunks(target)
    with ChunkWriter(target.write, _CHUNK_ROWS) as writer:
        for chunk, rows in places:
            for batch in read_table(folder, chunk).take(rows).to_batches():
                writer.add(batch)
    return replace(
        snapshot,
        rows=writer.rows,
        chunks=writer.chunks,
        chunk_rows=_CHUNK_ROWS,
        source_fingerprint=named,
        content_fingerprint=writer.content.hexdigest(),
    )
