"""Where the finished parts of a running run have their answers, so that later chunks take them.

In memory an answer takes 8 bytes of a hash table with open addressing, a quarter of which stays empty. A hit is a
hint that reading the row confirms.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock

from prefect_llm.reuse.answered_rows import AnswerReader, answered_in
from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.rows import ResultRow

MOST_SLOTS = 2_000_000
"""16 MB, for 1.5 million different requests; later ones of a larger run are deduplicated within their chunk only."""
_PARTS_AT_ONCE = 8
_ROW_BITS = 30
"""A billion rows; the rest of an entry's 64 bits is the key."""
_MOST_ROWS = 1 << _ROW_BITS
_KEY_MASK = (1 << 64 - _ROW_BITS) - 1
"""34 bits: among a million answers one look-up in 17,000 finds another request's row, and reads it for nothing."""


class RowTable:
    """Maps some bits of a request's fingerprint to the row of the run that answers it, counted from 0."""

    def __init__(self, rows: int) -> None:
        self._slots = max(2, min(rows * 4 // 3 + 1, MOST_SLOTS))
        self._entries = array("Q", [0]) * self._slots
        self._free = self._slots * 3 // 4

    def put(self, fingerprint: str, row: int) -> None:
        """Remember the row, in place of an earlier one for that request. A full table stays as it is."""
        key = _key(fingerprint)
        slot = self._slot_of(key)
        if not self._entries[slot]:
            if not self._free or row >= _MOST_ROWS:
                return
            self._free -= 1
        self._entries[slot] = key << _ROW_BITS | row

    def get(self, fingerprint: str) -> int | None:
        """The row that probably has the answer."""
        entry = self._entries[self._slot_of(_key(fingerprint))]
        return entry & (_MOST_ROWS - 1) if entry else None

    def _slot_of(self, key: int) -> int:
        """The slot that has the key, or the one to put it in. Ends, since a quarter of the slots is always free."""
        entries, slots = self._entries, self._slots
        slot = key % slots
        while (there := entries[slot]) and there >> _ROW_BITS != key:
            slot = slot + 1 if slot + 1 < slots else 0
        return slot


def _key(fingerprint: str) -> int:
    return int(fingerprint[:16], 16) & _KEY_MASK or 1  # 0 is an empty slot


class RunAnswerIndex:
    """The answered rows of the run in `directory`, which has `rows` documents. Thread-safe."""

    def __init__(self, directory: RunDirectory, rows: int, chunk_rows: int, kept: Sequence[str] = ()) -> None:
        self._directory = directory
        self._chunk_rows = chunk_rows
        self._table = RowTable(rows)
        self._rows = AnswerReader(directory, kept)
        self._known: set[int] = set()
        self._lock = Lock()

    def refresh(self) -> None:
        """Index the parts that earlier invocations and other processes have finished since."""
        with self._lock:
            new = sorted(self._directory.complete_chunks() - self._known)
            if not new:
                return
            with ThreadPoolExecutor(_PARTS_AT_ONCE, thread_name_prefix="find-answers") as pool:
                for chunk, fingerprints in zip(
                    new, pool.map(partial(answered_in, self._directory), new), strict=True
                ):
                    self._put(chunk, fingerprints)

    def add(self, chunk: int, fingerprints: Mapping[int, str]) -> None:
        """Index a part of this process; `fingerprints` are the requests of its answered rows, by row index."""
        with self._lock:
            self._put(chunk, fingerprints.items())

    def find(self, fingerprints: Iterable[str]) -> dict[str, ResultRow]:
        """The rows of the requests that are answered, as rows nothing was paid for."""
        rows = {fingerprint: self._table.get(fingerprint) for fingerprint in fingerprints}
        locations = {each: [divmod(row, self._chunk_rows)] for each, row in rows.items() if row is not None}
        return self._rows.find(locations)

    def _put(self, chunk: int, fingerprints: Iterable[tuple[int, str]]) -> None:
        first = chunk * self._chunk_rows
        for row, fingerprint in fingerprints:
            self._table.put(fingerprint, first + row)
        self._known.add(chunk)
