"""The snapshot's files: one Arrow IPC file a chunk, ids first, written behind the reader's back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import pyarrow as pa

from prefect_llm.documents.content_hash import ContentHash
from prefect_llm.system.folders import Folder

_FOLDER = "_run/input"
_WRITERS = 4
_MAX_WAITING_BYTES = 32 * 1024 * 1024
# lz4: a quarter of zstd's time, and the snapshot is read about as often as it is written.
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")

Write = Callable[[str, bytes], None]
"""Writes a file of the run's folder, or nothing."""


class ChunkWriter:
    """Cuts batches into chunks of `chunk_rows` and writes them, several at once: each write waits long.

    `content` is a hash of all documents in order, however their source and these chunks were written.
    """

    def __init__(self, write: Write, chunk_rows: int) -> None:
        self.chunks = 0
        self.rows = 0
        self.content = ContentHash()
        self._write_file = write
        self._chunk_rows = chunk_rows
        self._batches: list[pa.RecordBatch] = []
        self._missing = chunk_rows
        self._pool = ThreadPoolExecutor(_WRITERS, thread_name_prefix="stage")
        self._waiting: deque[tuple[Future[None], int]] = deque()
        self._waiting_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and self._batches:
                self._write()
            while error is None and self._waiting:
                self._settle()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def add(self, batch: pa.RecordBatch) -> None:
        """Hand over more rows, ids in column 0; raises the error of an earlier write."""
        start = 0
        while start < batch.num_rows:
            part = batch.slice(start, self._missing)
            self._batches.append(part)
            self._missing -= part.num_rows
            start += part.num_rows
            if self._missing == 0:
                self._write()
        self.rows += batch.num_rows

    def _write(self) -> None:
        chunk = pa.Table.from_batches(self._batches)
        self.content.add(chunk)
        content = _encoded(chunk)
        while self._waiting and (
            len(self._waiting) >= _WRITERS or self._waiting_bytes + len(content) > _MAX_WAITING_BYTES
        ):
            self._settle()
        writing = self._pool.submit(self._write_file, chunk_name(self.chunks), content)
        self._waiting.append((writing, len(content)))
        self._waiting_bytes += len(content)
        self._batches, self._missing = [], self._chunk_rows
        self.chunks += 1

    def _settle(self) -> None:
        written, size = self._waiting.popleft()
        self._waiting_bytes -= size
        written.result()


def chunk_name(chunk: int) -> str:
    """The file of chunk number `chunk` in the run's folder."""
    return f"{_FOLDER}/chunk-{chunk:05d}.arrow"


def read_table(folder: Folder, chunk: int) -> pa.Table:
    """A staged chunk: ids in column 0, the staged columns after it."""
    return pa.ipc.open_file(pa.BufferReader(folder.read(chunk_name(chunk)))).read_all()


def absent_chunks(folder: Folder, chunks: Iterable[int]) -> list[int]:
    """Those of these chunks whose file is gone."""
    there = frozenset(folder.names(_FOLDER))
    return [chunk for chunk in chunks if chunk_name(chunk) not in there]


def staged_ids(folder: Folder, chunks: int) -> Iterator[list[str]]:
    """The ids of all chunks, in order."""
    for chunk in range(chunks):
        yield read_table(folder, chunk).column(0).to_pylist()


def remove_chunks(folder: Folder) -> None:
    """Remove every staged chunk, those of an interrupted staging too."""
    for name in folder.names(_FOLDER):
        folder.remove(name)


def _encoded(chunk: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, chunk.schema, options=_OPTIONS) as writer:
        writer.write_table(chunk.combine_chunks())
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
