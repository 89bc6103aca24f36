"""Answers of earlier runs, found by the fingerprint of their request and the provider that gave them.

In memory an answer is 24 bytes: its fingerprint, and where it lies. Rows are read from their parts when wanted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from prefect_llm.records import Completion, Outcome
from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.rows import NOTHING_PAID, ResultRow

_PLACE = struct.Struct(">II")
_KEY_BYTES = 16
_RECORD_BYTES = _KEY_BYTES + _PLACE.size
_PARTS_KEPT = 4
"""Documents mostly come in the order of the earlier run: its parts are read one after the other."""
_FOUND_BY = ("fingerprint", "status")
_TAKEN = (
    "fingerprint",
    "provider",
    "content",
    "finish_reason",
    "requested_model",
    "model",
    "started_at",
    "finished_at",
)


class Answers:
    """The answered rows of one run directory, as far as its chunks are complete."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        records = bytearray()
        for chunk in sorted(directory.complete_chunks()):
            records += self._records_of(chunk)
        self._records = _sorted(records)
        self._part = lru_cache(maxsize=_PARTS_KEPT)(self._read_part)

    def __len__(self) -> int:
        return len(self._records) // _RECORD_BYTES

    def find(self, fingerprints: Iterable[str], provider: str) -> Mapping[str, ResultRow]:
        """The rows of those that this provider (the host) has answered: nothing was paid for them."""
        places = {fingerprint: list(self._places(fingerprint)) for fingerprint in fingerprints}
        found = {}
        # by their places, so that each part is read once
        for fingerprint in sorted(places, key=places.__getitem__):
            for chunk, row in places[fingerprint]:
                values = {name: column[row].as_py() for name, column in self._part(chunk).items()}
                if values["provider"] == provider:
                    found[fingerprint] = _row(values)
                    break
        return found

    def _records_of(self, chunk: int) -> bytes:
        table = self._directory.read_chunk(chunk, _FOUND_BY)
        fingerprints, statuses = (table[name].to_pylist() for name in _FOUND_BY)
        return b"".join(
            bytes.fromhex(fingerprint) + _PLACE.pack(chunk, row)
            for row, (fingerprint, status) in enumerate(zip(fingerprints, statuses, strict=True))
            if status == "ok" and fingerprint is not None
        )

    def _read_part(self, chunk: int) -> Mapping[str, pa.ChunkedArray]:
        table = self._directory.read_chunk(chunk, _TAKEN)
        instants = {name: pc.cast(table[name], pa.int64()) for name in ("started_at", "finished_at")}
        return {name: table[name] for name in _TAKEN} | instants

    def _places(self, fingerprint: str) -> Iterator[tuple[int, int]]:
        """Where its answers lie: chunk and row."""
        key = bytes.fromhex(fingerprint)
        record = self._first_not_before(key)
        while record < len(self) and self._key(record) == key:
            yield _PLACE.unpack_from(self._records, record * _RECORD_BYTES + _KEY_BYTES)
            record += 1

    def _first_not_before(self, key: bytes) -> int:
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._key(middle) < key else (low, middle)
        return low

    def _key(self, record: int) -> bytes:
        return bytes(self._records[record * _RECORD_BYTES : record * _RECORD_BYTES + _KEY_BYTES])


def _sorted(records: bytearray) -> memoryview:
    if not records:
        return memoryview(b"")
    count = len(records) // _RECORD_BYTES
    array = pa.FixedSizeBinaryArray.from_buffers(pa.binary(_RECORD_BYTES), count, [None, pa.py_buffer(records)])
    return memoryview(array.take(pc.sort_indices(array)).buffers()[1])


def _row(values: Mapping[str, Any]) -> ResultRow:
    """The row as another document's; its id is the caller's to set."""
    completion = Completion(values["content"], values["finish_reason"], values["model"])
    outcome = Outcome(completion, started_at_us=values["started_at"], finished_at_us=values["finished_at"])
    return ResultRow(
        "",
        values["fingerprint"],
        values["requested_model"],
        outcome,
        NOTHING_PAID,
        None,
        reused=True,
        provider=values["provider"],
    )
