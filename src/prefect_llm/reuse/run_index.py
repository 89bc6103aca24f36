"""Where the finished parts of a run that goes on have their answers, so that a later chunk takes them.

In memory an answer is 8 bytes in a table with open addressing, a quarter of which stays empty. What is found there is
only a hint, made sure of by reading the row.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock

from prefect_llm.reuse.answered_rows import AnswerReader, answered_in
from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.rows import ResultRow

MOST_SLOTS = 2_000_000
"""16 MB, for 1.5 million different requests; what a larger run asks after them is found within its chunk only."""
_PARTS_AT_ONCE = 8
_ROW_BITS = 30
_MOST_ROWS = 1 << _ROW_BITS
_KEY_MASK = (1 << 64 - _ROW_BITS) - 1
"""34 bits: of a million answers one lookup in 17,000 finds another request's: its row is read in vain."""


class RowTable:
    """The row of the run that answers a request: by some bits of its fingerprint, the row's number from 0."""

    def __init__(self, rows: int) -> None:
        self._slots = max(2, min(rows * 4 // 3 + 1, MOST_SLOTS))
        self._entries = array("Q", [0]) * self._slots
        self._free = self._slots * 3 // 4

    def put(self, fingerprint: str, row: int) -> None:
        """Remember it, instead of an earlier row with that answer; nothing happens where the table is full."""
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
        """Where the key is, or where it would be: a slot in four is always free."""
        entries, slots = self._entries, self._slots
        slot = key % slots
        while (there := entries[slot]) and there >> _ROW_BITS != key:
            slot = slot + 1 if slot + 1 < slots else 0
        return slot


def _key(fingerprint: str) -> int:
    return int(fingerprint[:16], 16) & _KEY_MASK or 1  # 0 is an empty slot


class RunAnswerIndex:
    """The answered rows of the run in `directory`, of `rows` documents. Any thread."""

    def __init__(self, directory: RunDirectory, rows: int, chunk_rows: int, *, raw: bool = False) -> None:
        self._directory = directory
        self._chunk_rows = chunk_rows
        self._table = RowTable(rows)
        self._rows = AnswerReader(directory, raw=raw)
        self._known: set[int] = set()
        self._lock = Lock()

    def refresh(self) -> None:
        """Take in the parts that were finished by others since: earlier invocations, and other processes."""
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
        """Take in a part of this process: the request that each of its answered rows answers."""
        with self._lock:
            self._put(chunk, fingerprints.items())

    def find(self, fingerprints: Iterable[str]) -> dict[str, ResultRow]:
        """The rows of those that are answered: nothing was paid for them."""
        rows = {fingerprint: self._table.get(fingerprint) for fingerprint in fingerprints}
        locations = {each: [divmod(row, self._chunk_rows)] for each, row in rows.items() if row is not None}
        return self._rows.find(locations)

    def _put(self, chunk: int, fingerprints: Iterable[tuple[int, str]]) -> None:
        first = chunk * self._chunk_rows
        for row, fingerprint in fingerprints:
            self._table.put(fingerprint, first + row)
        self._known.add(chunk)
