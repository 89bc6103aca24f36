"""Asks identical requests of a whole run once: the first chunk of this process that claims a request asks it.

The others take the answer as it comes, or from the part that holds it by then. A chunk claims all its requests before
it asks any, and waits for other chunks only after it has asked all of its own: this rules out deadlock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Lock
from typing import NamedTuple

from prefect_llm.reuse.run_index import RunAnswerIndex
from prefect_llm.store import ResultRow, RunDirectory, journaled


class Claimed(NamedTuple):
    """What becomes of a chunk's requests, by fingerprint; the chunk asks those in none of the three.

    `stored` answers are in a part, `answered` ones only in another chunk's journal so far; each in `awaited` will
    bring a message.
    """

    stored: Mapping[str, ResultRow]
    answered: Mapping[str, ResultRow]
    awaited: frozenset[str]


class Answered(NamedTuple):
    """An awaited request has ended. Without an answer (`row` is `None`), this chunk asks it."""

    fingerprint: str
    row: ResultRow | None


class RequestDeduplicator:
    """Which requests of a run are in flight in this process, and where finished answers are. Thread-safe."""

    def __init__(self, directory: RunDirectory, rows: int, chunk_rows: int, kept: Sequence[str] = ()) -> None:
        self._directory = directory
        self._index = RunAnswerIndex(directory, rows, chunk_rows, kept)
        self._is_restored = False
        self._claims: dict[str, _Claim] = {}
        self._lock = Lock()
        self._reading = Lock()

    def __len__(self) -> int:
        """The number of requests in flight, or answered and not in a part yet."""
        return len(self._claims)

    def claims_of(self, chunk: int) -> ChunkClaims:
        """A new, empty set of claims for a chunk.

        The first call reads the fingerprints in all parts, and the journals of unfinished chunks.
        """
        with self._reading:  # not `_lock`: outcomes that arrive meanwhile must not wait for a store
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
        """Make answers that exist already available to other chunks."""
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

    def _claim_free(self, claims: ChunkClaims, fingerprints: Iterable[str]) -> frozenset[str]:
        """Claim those that no chunk has; returns them."""
        with self._lock:
            free = frozenset(each for each in fingerprints if each not in self._claims)
            self._claims |= {fingerprint: _Claim(claims) for fingerprint in free}
        return free

    def _ended(self, claims: ChunkClaims, fingerprints: Iterable[str], row: ResultRow | None) -> None:
        """End claims of a chunk; without an answer the chunks that wait go on to ask themselves."""
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

        # after the lock: the receiver may claim at once
        for receiver, message in messages:
            receiver.inbox.put(message)

    def _forget(self, fingerprints: Iterable[str]) -> None:
        with self._lock:
            for fingerprint in fingerprints:
                if (claim := self._claims.get(fingerprint)) is not None and claim.row is not None:
                    del self._claims[fingerprint]


@dataclass(slots=True, eq=False)
class _Claim:
    """The chunk that asks a request, the row once it is answered, and the chunks waiting until then."""

    owner: ChunkClaims | None
    row: ResultRow | None = None
    waiting: list[ChunkClaims] = field(default_factory=list)


class ChunkClaims:
    """The claims of one attempt at a chunk; it must `leave` in the end.

    `inbox` gets one message per awaited request, at the latest when the chunk that asks it leaves.
    """

    def __init__(self, deduplicator: RequestDeduplicator, index: RunAnswerIndex, chunk: int) -> None:
        self.inbox: SimpleQueue[Answered] = SimpleQueue()
        self._deduplicator = deduplicator
        self._index = index
        self._chunk = chunk
        self._claimed: frozenset[str] = frozenset()

    def claim(
        self, fingerprints: Iterable[str], done: Iterable[ResultRow], submitted: Set[str] = frozenset()
    ) -> Claimed:
        """Claim the requests that no other chunk has claimed; `done` are rows that the chunk has already.

        Requests that were `submitted` before are claimed for others to wait for, and never waited for.
        """
        wanted = frozenset(fingerprints) - submitted
        # before the claims: what this chunk has an answer to is asked by no chunk
        self._deduplicator._offer(done)
        own = self._deduplicator._claim_free(self, submitted)
        answered, awaited = self._deduplicator._claim(self, wanted)
        self._claimed = wanted - awaited - answered.keys()
        # after the claim: the answers of a chunk that commits in between are in the claims or in the index
        stored = self._index.find(self._claimed)
        for fingerprint, row in stored.items():
            self.ended(fingerprint, row)
        self._claimed |= own
        return Claimed(stored, answered, awaited)

    def ended(self, fingerprint: str, row: ResultRow) -> None:
        """A request of the chunk has ended; other chunks take its answer, but not a failure. Any thread."""
        self._deduplicator._ended(self, (fingerprint,), row if row.outcome.ok else None)

    def committed(self, fingerprints: Mapping[int, str]) -> None:
        """The chunk's part is written; `fingerprints` are the requests of its answered rows, by row index."""
        # in this order: a chunk that claims in between finds the answer in the claims or in the index
        self._index.add(self._chunk, fingerprints)
        self._deduplicator._forget(self._claimed.union(fingerprints.values()))

    def leave(self) -> None:
        """Release the chunks that wait for requests this one did not finish. Its answers stay known."""
        self._deduplicator._ended(self, self._claimed, None)
