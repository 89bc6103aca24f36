"""Copies a source into the run's folder as an immutable snapshot, after which no source is needed any more.

Everything that can be wrong with an input is found here, before any request is paid.
"""

from __future__ import annotations

import logging

from prefect_llm.documents.chunk_files import ChunkWriter, read_table, remove_chunks, staged_ids
from prefect_llm.documents.column_staging import stage_columns
from prefect_llm.documents.columns import Staging
from prefect_llm.documents.content_hash import ContentHash
from prefect_llm.documents.json_lines import JsonLinesSource
from prefect_llm.documents.line_staging import stage_lines
from prefect_llm.documents.listing import left_out_words
from prefect_llm.documents.snapshot import Snapshot, Staged
from prefect_llm.documents.source import Source
from prefect_llm.system.folders import Folder
from prefect_llm.values.errors import InvalidInput

_CHUNK_ROWS = 1_000
_MAX_CHUNKS = 1_000

logger = logging.getLogger(__name__)


def stage(source: Source, staging: Staging, folder: Folder) -> Snapshot:
    """Write the snapshot's chunks to `_run/input/` of the folder, replacing any that are there.

    Memory holds a few chunks, and 8 bytes a row. Raises `InvalidInput` for whatever is wrong with the input;
    then no chunk is left behind.
    """
    chunk_rows = _chunk_rows(staging, source.row_count())
    fingerprint = source.fingerprint()
    remove_chunks(folder)

    try:
        with ChunkWriter(folder.write, chunk_rows) as writer:
            staged = _stage(source, staging, writer)
        if staged.register is not None:
            staged.register.check_unique(lambda: staged_ids(folder, writer.chunks))
        if writer.rows == 0:
            raise InvalidInput(f'"{source.name}" has no rows: there is nothing to ask.')
    except InvalidInput:
        remove_chunks(folder)
        raise

    if source.left_out:
        logger.warning("left out of %s: %s", source.name, left_out_words(source.left_out))
    return Snapshot(
        rows=writer.rows,
        chunks=writer.chunks,
        chunk_rows=chunk_rows,
        source=source.name,
        source_fingerprint=fingerprint,
        form=staged.form,
        kept=staged.kept,
        prompt=staged.prompt,
        has_id=staged.has_id,
        left_out=source.left_out,
        has_bad=staging.on_bad_rows == "row",
        content_fingerprint=writer.content.hexdigest(),
    )


def same_documents(source: Source, staging: Staging, snapshot: Snapshot, folder: Folder) -> bool:
    """Whether the source still holds the documents of the snapshot in `folder`, whoever wrote its files when.

    The source is read once, unless its files have not changed since; nothing is written. A snapshot of an earlier
    version is read, too; if its chunks are gone, only unchanged files count. Raises `InvalidInput` as `stage` does.
    """
    if source.fingerprint() == snapshot.source_fingerprint:
        return True
    staged_content = snapshot.content_fingerprint or _content_of(folder, snapshot.chunks)
    if staged_content is None:
        return False

    with ChunkWriter(lambda name, content: None, snapshot.chunk_rows) as writer:
        _stage(source, staging, writer)
    return writer.content.hexdigest() == staged_content


def _stage(source: Source, staging: Staging, writer: ChunkWriter) -> Staged:
    if isinstance(source, JsonLinesSource):
        return stage_lines(source, staging, writer)
    return stage_columns(source, staging, writer)


def _content_of(folder: Folder, chunks: int) -> str | None:
    content = ContentHash()
    try:
        for chunk in range(chunks):
            content.add(read_table(folder, chunk))
    except FileNotFoundError:
        return None
    return content.hexdigest()


def _chunk_rows(staging: Staging, known_rows: int | None) -> int:
    for name, value in (("limit", staging.limit), ("chunk_rows", staging.chunk_rows)):
        if value is not None and value < 1:
            raise InvalidInput(f"{name} is {value}: it counts rows, from 1.")
    if staging.chunk_rows is not None:
        return staging.chunk_rows
    rows = min(row for row in (known_rows or 0, staging.limit) if row is not None)
    return max(_CHUNK_ROWS, -(-rows // _MAX_CHUNKS))
