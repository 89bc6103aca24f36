"""Answers of earlier runs, looked up by the fingerprint of their request and the provider that gave them.

In memory an answer takes 24 bytes, its fingerprint and its location. Rows are read from their parts on demand.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from prefect_llm.reuse.answered_rows import AnswerReader, Location, answered_in
from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.journal import journaled
from prefect_llm.store.rows import ResultRow, as_reused

_LOCATION = struct.Struct(">II")
"""Big-endian, so that the locations of one fingerprint sort by chunk and row."""
_KEY_BYTES = 16
"""All 128 bits of a fingerprint: two requests that shared a key would share an answer."""
_RECORD_BYTES = _KEY_BYTES + _LOCATION.size


class AnswerIndex:
    """The answered rows of one run directory: in the parts of complete chunks, and in the journals of the others."""

    def __init__(self, directory: RunDirectory, kept: Sequence[str] = ()) -> None:
        self._directory = directory
        complete = directory.complete_chunks()
        records = bytearray()
        for chunk in sorted(complete):
            records += self._records_of(chunk)

        self._records = _sorted(records)
        self._rows = AnswerReader(directory, kept)
        self._journaled = {
            row.fingerprint: row
            for chunk, entries in journaled(directory.folder)
            for row in (entry.row for entry in entries)
            if chunk not in complete and row.outcome.ok and row.fingerprint is not None
        }

    def __len__(self) -> int:
        return self._count + len(self._journaled)

    def find(self, fingerprints: Iterable[str], provider: str | None) -> Mapping[str, ResultRow]:
        """The rows of the requests that this provider has answered, as rows nothing was paid for.

        `provider` is a host; `None` is any.
        """
        wanted = list(fingerprints)
        in_journals = {
            fingerprint: as_reused(row, row.id)
            for fingerprint in wanted
            if (row := self._journaled.get(fingerprint)) is not None and provider in (None, row.provider)
        }

        others = (fingerprint for fingerprint in wanted if fingerprint not in in_journals)
        locations = {fingerprint: list(self._locations(fingerprint)) for fingerprint in others}
        return in_journals | self._rows.find(locations, provider)

    def _records_of(self, chunk: int) -> bytes:
        answered = answered_in(self._directory, chunk)
        return b"".join(bytes.fromhex(fingerprint) + _LOCATION.pack(chunk, row) for row, fingerprint in answered)

    def _locations(self, fingerprint: str) -> Iterator[Location]:
        """Where its answers are."""
        key = bytes.fromhex(fingerprint)
        record = self._first_not_before(key)
        while record < self._count and self._key(record) == key:
            yield _LOCATION.unpack_from(self._records, record * _RECORD_BYTES + _KEY_BYTES)
            record += 1

    def _first_not_before(self, key: bytes) -> int:
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._key(middle) < key else (low, middle)
        return low

    @property
    def _count(self) -> int:
        return len(self._records) // _RECORD_BYTES

    def _key(self, record: int) -> bytes:
        return bytes(self._records[record * _RECORD_BYTES : record * _RECORD_BYTES + _KEY_BYTES])


def _sorted(records: bytearray) -> memoryview:
    if not records:
        return memoryview(b"")
    count = len(records) // _RECORD_BYTES
    array = pa.FixedSizeBinaryArray.from_buffers(pa.binary(_RECORD_BYTES), count, [None, pa.py_buffer(records)])
    return memoryview(array.take(pc.sort_indices(array)).buffers()[1])
