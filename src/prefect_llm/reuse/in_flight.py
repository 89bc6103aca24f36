"""Identical requests of a whole run are asked once: by the chunk of this process that came first with it.

Others take the answer when it comes, or from the part in which it lies by then. A chunk claims all its requests
before it asks the first, and waits for others only once it has asked them all: so nobody waits in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Lock
from typing import NamedTuple

from prefect_llm.reuse.run_index import RunAnswerIndex
from prefect_llm.store import ResultRow, RunDirectory, journaled


class Claimed(NamedTuple):
    """What becomes of a chunk's requests, by fingerprint; those in none of the three are its own to ask.

    `stored` answers lie in a part, `answered` ones so far only in another chunk's journal; for those in `awaited` a
    message will come.
    """

    stored: Mapping[str, ResultRow]
    answered: Mapping[str, ResultRow]
    awaited: frozenset[str]


class Answered(NamedTuple):
    """An awaited request has ended: with an answer, or with none, and is then this chunk's to ask."""

    fingerprint: str
    row: ResultRow | None


class RequestDeduplicator:
    """Which requests of a run are in flight in this process, and where the answers to finished ones are."""

    def __init__(self, directory: RunDirectory, rows: int, chunk_rows: int, *, raw: bool = False) -> None:
        self._directory = directory
        self._index = RunAnswerIndex(directory, rows, chunk_rows, raw=raw)
        self._is_restored = False
        self._claims: dict[str, _Claim] = {}
        self._lock = Lock()
        self._reading = Lock()

    def __len__(self) -> int:
        """Requests in flight, and those whose answer is in no part yet."""
        return len(self._claims)

    def claims_of(self, chunk: int) -> ChunkClaims:
        """The claims of a chunk, none yet.

        The first chunk reads the fingerprints in all parts, and the journals of unfinished chunks.
        """
        with self._reading:
            if not self._is_restored:
                self._restore()
                self._is_restored = True
            self._index.refresh()
        return ChunkClaims(self, self._index, chunk)

    def _restore(self) -> None:
        complete = self._directory.complete_chunks()
        journals = journaled(self._directory.folder)
        entries = (entry for chunk, found in journals if chunk not in complete for entry in found)
        self._offer([entry.row for entry in entries])

    def _offer(self, rows: Iterable[ResultRow]) -> None:
        """Answers that are there already."""
        with self._lock:
            for row in rows:
                if row.outcome.ok and row.fingerprint is not None:
                    self._claims.setdefault(row.fingerprint, _Claim(None, row))

    def _claim(self, claims: ChunkClaims, fingerprints: Iterable[str]) -> tuple[dict[str, ResultRow], frozenset[str]]:
        answered, awaited = {}, set()
        with self._lock:
            for fingerprint in fingerprints:
                claim = self._claims.get(fingerprint)
                if claim is None:
                    self._claims[fingerprint] = _Claim(claims)
                elif claim.row is not None:
                    answered[fingerprint] = claim.row
                else:
                    claim.waiting.append(claims)
                    awaited.add(fingerprint)
        return answered, frozenset(awaited)

    def _ended(self, claims: ChunkClaims, fingerprints: Iterable[str], row: ResultRow | None) -> None:
        """Claims of that member have ended; without an answer those that wait are let go."""
        messages = []
        with self._lock:
            for fingerprint in fingerprints:
                claim = self._claims.get(fingerprint)
                if claim is None or claim.owner is not claims or claim.row is not None:
                    continue
                messages += [(each, Answered(fingerprint, row)) for each in claim.waiting]
                if row is None:
                    del self._claims[fingerprint]
                else:
                    claim.row, claim.waiting = row, []

        for receiver, message in messages:
            receiver.inbox.put(message)

    def _forget(self, fingerprints: Iterable[str]) -> None:
        with self._lock:
            for fingerprint in fingerprints:
                if (claim := self._claims.get(fingerprint)) is not None and claim.row is not None:
                    del self._claims[fingerprint]


@dataclass(slots=True, eq=False)
class _Claim:
    """Who asks a request, the row once it was answered, and who waits for it until then."""

    owner: ChunkClaims | None
    row: ResultRow | None = None
    waiting: list[ChunkClaims] = field(default_factory=list)


class ChunkClaims:
    """One attempt at a chunk among those that ask each request once; it must `leave` in the end.

    `inbox` gets one message for each awaited request: whoever asks it sends one, or leaves.
    """

    def __init__(self, deduplicator: RequestDeduplicator, index: RunAnswerIndex, chunk: int) -> None:
        self.inbox: SimpleQueue[Answered] = SimpleQueue()
        self._deduplicator = deduplicator
        self._index = index
        self._chunk = chunk
        self._claimed: frozenset[str] = frozenset()

    def claim(self, fingerprints: Iterable[str], done: Iterable[ResultRow]) -> Claimed:
        """Claim the requests that no other chunk has; `done` are rows that the chunk has already."""
        wanted = frozenset(fingerprints)
        self._deduplicator._offer(done)
        answered, awaited = self._deduplicator._claim(self, wanted)
        self._claimed = wanted - awaited - answered.keys()
        # after the claim: a chunk that ends in between is found in one of the two places
        stored = self._index.find(self._claimed)
        for fingerprint, row in stored.items():
            self.ended(fingerprint, row)
        return Claimed(stored, answered, awaited)

    def ended(self, fingerprint: str, row: ResultRow) -> None:
        """A request of the chunk has ended; others take only an answer. Any thread."""
        self._deduplicator._ended(self, (fingerprint,), row if row.outcome.ok else None)

    def committed(self, fingerprints: Mapping[int, str]) -> None:
        """The chunk's part is written: the request that each of its answered rows answers."""
        self._index.add(self._chunk, fingerprints)
        self._deduplicator._forget(self._claimed.union(fingerprints.values()))

    def leave(self) -> None:
        """Let go whoever waits for what the chunk has not asked to the end. What it has answered stays known."""
        self._deduplicator._ended(self, self._claimed, None)
