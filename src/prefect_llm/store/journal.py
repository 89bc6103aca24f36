"""The journal of a running chunk: each row is written as it ends, so that a killed process loses none.

The name `_run/inflight/chunk-00007-e3-a1.jsonl` holds the owner's epoch and the chunk's attempt. Every attempt claims
a name of its own, and only the latest may commit: one that was paused and wakes up changes nothing. A line is a
checksum and JSON, so that a line cut by a power failure is recognised. On an object store each flush is an object,
`chunk-00007-e3-a1-00000.jsonl`.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from prefect_llm.store.rows import ResultRow
from prefect_llm.system.folders import Folder, LocalFolder
from prefect_llm.values.errors import InvalidInput, Superseded

INFLIGHT = "_run/inflight/"

_NAME = re.compile(rf"{INFLIGHT}(chunk|redrive)-([0-9]{{5,18}})-e([0-9]+)-a([0-9]+)(?:-[0-9]+)?\.jsonl")

logger = logging.getLogger(__name__)


class JournalKind(StrEnum):
    """What a journal holds: rows of a chunk without a part, or new answers to failed rows of one with a part."""

    CHUNK = "chunk"
    REDRIVE = "redrive"


class JournalEntry(NamedTuple):
    """A row that has ended, and its index in the chunk.

    `discarded_costs` are what its discarded answers cost, `uncertain_cost` bounds what may have been billed besides;
    `None` is unknown.
    """

    row_index: int
    row: ResultRow
    discarded_costs: tuple[Decimal | None, ...] = ()
    uncertain_cost: Decimal | None = Decimal(0)


_encode = msgspec.json.Encoder(decimal_format="string").encode
_decode = msgspec.json.Decoder(JournalEntry).decode


class ChunkAttempt(NamedTuple):
    """An attempt at a chunk. A greater one was claimed later."""

    epoch: int
    number: int


@dataclass(frozen=True, slots=True)
class JournalFile:
    """One file of an attempt."""

    name: str
    kind: JournalKind
    chunk: int
    attempt: ChunkAttempt


class Journal(Protocol):
    """Takes the rows of one attempt. A failed write is raised by this call or the next."""

    def append(self, entry: JournalEntry) -> None:
        """Journal a row; returns at once. From one thread at a time."""

    def flush(self) -> None:
        """Make durable what was appended. From any thread."""

    def close(self) -> None:
        """Flush for the last time."""


def claim(
    folder: Folder, chunk: int, epoch: int, kind: JournalKind = JournalKind.CHUNK
) -> tuple[ChunkAttempt, list[JournalEntry]]:
    """Begin an attempt at the chunk; also returns the rows that earlier attempts have journaled.

    Creates the attempt's first file, after which no earlier attempt can commit. Raises `Superseded` if an owner of a
    later epoch has claimed the chunk.
    """
    while True:
        earlier = [file for file in _files(folder, kind) if file.chunk == chunk]
        last = max((file.attempt for file in earlier), default=ChunkAttempt(epoch, 0))
        if last.epoch > epoch:
            raise Superseded(f"chunk {chunk} was taken over by a later owner of the run, which finishes it")
        attempt = ChunkAttempt(epoch, last.number + 1)
        if folder.create(_name(kind, chunk, attempt), b""):
            return attempt, read_entries(folder, earlier)
        # else another attempt has just taken that number: look again


def is_latest(folder: Folder, chunk: int, attempt: ChunkAttempt, kind: JournalKind = JournalKind.CHUNK) -> bool:
    """True if no later attempt has claimed the chunk, or finished it and removed this attempt's first file.

    Flushed rows do not count: on an object store an attempt that wakes up late may still write some.
    """
    files = [file for file in _files(folder, kind) if file.chunk == chunk]
    marked = any(file.name == _name(kind, chunk, attempt) for file in files)
    return marked and max(file.attempt for file in files) == attempt


def latest_epoch(folder: Folder) -> int:
    """The latest epoch of any journal; 0 without journals."""
    return max((file.attempt.epoch for file in journal_files(folder)), default=0)


def open_journal(folder: Folder, chunk: int, attempt: ChunkAttempt, kind: JournalKind = JournalKind.CHUNK) -> Journal:
    """The journal of a claimed attempt."""
    name = _name(kind, chunk, attempt)
    return LocalJournal(folder, name) if isinstance(folder, LocalFolder) else RemoteJournal(folder, name)


def remove_journals(folder: Folder, chunks: Iterable[int], kind: JournalKind = JournalKind.CHUNK) -> None:
    """Remove the journals of chunks whose part holds their rows."""
    complete = frozenset(chunks)
    for file in _files(folder, kind):
        if file.chunk in complete:
            folder.remove(file.name)


def journaled(folder: Folder) -> Iterator[tuple[int, list[JournalEntry]]]:
    """Every chunk with journals of its first answers, and their rows."""
    by_chunk: dict[int, list[JournalFile]] = {}
    for file in _files(folder, JournalKind.CHUNK):
        by_chunk.setdefault(file.chunk, []).append(file)
    for chunk, files in sorted(by_chunk.items()):
        yield chunk, read_entries(folder, files)


def read_entries(folder: Folder, files: Iterable[JournalFile]) -> list[JournalEntry]:
    """The rows in some files of one chunk, by row index. Of two for one row the earlier counts."""
    entries: dict[int, JournalEntry] = {}
    for file in sorted(files, key=lambda file: (file.attempt, file.name)):
        for entry in _entries(folder, file.name):
            entries.setdefault(entry.row_index, entry)
    return [entries[row_index] for row_index in sorted(entries)]


def _entries(folder: Folder, name: str) -> Iterator[JournalEntry]:
    try:
        content = folder.read(name)
    except FileNotFoundError:
        return  # committed meanwhile by another attempt

    torn = 0
    for line in content.splitlines():
        if (entry := whole_entry(line, f"{folder.url}/{name}")) is None:
            torn += 1
        else:
            yield entry
    if torn:
        logger.warning("%s/%s: %d lines were cut off; their documents are asked again", folder.url, name, torn)


def line_of(entry: JournalEntry) -> bytes:
    """The journal's line. It leaves out the parsed answer, which is parsed again from the text."""
    completion = entry.row.outcome.completion
    if completion is not None and completion.output is not None:
        outcome = replace(entry.row.outcome, completion=replace(completion, output=None))
        entry = entry._replace(row=replace(entry.row, outcome=outcome))
    encoded = _encode(entry)
    return b"%08x %b\n" % (zlib.crc32(encoded), encoded)


def whole_entry(line: bytes, where: str) -> JournalEntry | None:
    """The row in a line; `None` if the line is cut. Raises `InvalidInput` if another version wrote it."""
    checksum, _, encoded = line.partition(b" ")
    if not encoded or checksum != b"%08x" % zlib.crc32(encoded):
        return None
    try:
        return _decode(encoded)
    except msgspec.DecodeError as error:  # whole, so another version of this package wrote it
        raise InvalidInput(
            f"{where} holds a row that this version cannot read ({error}): finish the run with the version that "
            "began it, or remove the file, and its documents are asked again"
        ) from error


class LocalJournal:
    """A file to which each row is appended in one write, so that rows outlive the process."""

    def __init__(self, folder: LocalFolder, name: str) -> None:
        self._path = folder.path / name
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        self._lock = threading.Lock()
        self._dirty = False

    def append(self, entry: JournalEntry) -> None:
        """One write: the operating system has the row then."""
        line = memoryview(line_of(entry))
        try:
            while line:  # a disk that fills up takes part of the line, and fails on the rest
                line = line[os.write(self._descriptor, line) :]
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        self._dirty = True

    def flush(self) -> None:
        """Fsync."""
        with self._lock:
            if self._dirty and self._descriptor >= 0:
                self._dirty = False  # before fsync: a row appended meanwhile makes it dirty again
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Flush and close."""
        try:
            self.flush()
        finally:
            with self._lock:  # a later flush must not sync another file that gets this number
                descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)


class RemoteJournal:
    """Rows are kept until the next flush, which is one PUT."""

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder = folder
        self._stem = name.removesuffix(".jsonl")
        self._lines: list[bytes] = []
        self._flushes = 0
        self._lock = threading.Lock()

    def append(self, entry: JournalEntry) -> None:
        """Keep it for the next flush."""
        self._lines.append(line_of(entry))

    def flush(self) -> None:
        """Write the rows since the last flush as one object."""
        with self._lock:
            if not self._lines:
                return
            count = len(self._lines)  # rows are appended meanwhile: only these are written and removed
            content = b"".join(self._lines[:count])
            self._folder.write(f"{self._stem}-{self._flushes:05d}.jsonl", content)
            del self._lines[:count]  # after the write: rows that could not be written are kept for the next try
            self._flushes += 1

    def close(self) -> None:
        """Flush."""
        self.flush()


def _name(kind: JournalKind, chunk: int, attempt: ChunkAttempt) -> str:
    return f"{INFLIGHT}{kind}-{chunk:05d}-e{attempt.epoch}-a{attempt.number}.jsonl"


def journal_files(folder: Folder) -> list[JournalFile]:
    """Every journal file, in the order of the names."""
    matches = (match for name in folder.names(INFLIGHT) if (match := _NAME.fullmatch(name)) is not None)
    return [
        JournalFile(match[0], JournalKind(match[1]), int(match[2]), ChunkAttempt(int(match[3]), int(match[4])))
        for match in matches
    ]


def _files(folder: Folder, kind: JournalKind) -> list[JournalFile]:
    return [file for file in journal_files(folder) if file.kind == kind]
