"""Identical requests of one chunk, and those that another chunk of the run has claimed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from prefect_llm.reuse.in_flight import Answered, ChunkClaims, Claimed
from prefect_llm.store import ResultRow


class ChunkDuplicates:
    """Which requests of a chunk are not asked, because an identical one is.

    Within the chunk the first of identical requests leads and the others follow. Among chunks the first to claim a
    request asks it; the leaders of the others await its answer.
    """

    def __init__(self, claims: ChunkClaims) -> None:
        self._claims = claims
        self._leaders: dict[str, int] = {}
        self._followers: dict[int, list[int]] = {}
        self._awaited: set[str] = set()
        self._submitted: frozenset[str] = frozenset()

    def group(self, fingerprints: Mapping[int, str], submitted: Set[int] = frozenset()) -> None:
        """Tell leaders from followers; `fingerprints` are the requests that have no row, by row index, in order.

        Those `submitted` by an earlier attempt are paid for: each is collected for itself, and leads.
        """
        self._submitted = frozenset(fingerprints[row_index] for row_index in submitted)
        # before the others, so that they lead even where they come later in the chunk
        for row_index in sorted(submitted):
            self._leaders.setdefault(fingerprints[row_index], row_index)
        for row_index, fingerprint in fingerprints.items():
            leader = self._leaders.setdefault(fingerprint, row_index)
            if leader != row_index and row_index not in submitted:
                self._followers.setdefault(leader, []).append(row_index)

    def claim(self, done: Iterable[ResultRow]) -> Claimed:
        """Claim the leaders' requests. `done` are rows that the chunk has already, for others to take."""
        claimed = self._claims.claim(self._leaders, done, self._submitted)
        self._awaited.update(claimed.awaited)
        return claimed

    @property
    def awaits(self) -> bool:
        """Whether another chunk's answer is still to come."""
        return bool(self._awaited)

    @property
    def not_asked(self) -> set[int]:
        """The row indexes that follow a leader or await another chunk's answer."""
        followers = {row_index for each in self._followers.values() for row_index in each}
        return followers | {self._leaders[fingerprint] for fingerprint in self._awaited}

    def wait(self) -> Answered:
        """Wait for the next answer of another chunk.

        A stop needs no signal here: the other chunk ends in time, and this one's next request raises the reason.
        """
        answered = self._claims.inbox.get()
        self._awaited.discard(answered.fingerprint)
        return answered

    def leader_of(self, fingerprint: str) -> int:
        """The row index that gets the answer to that request."""
        return self._leaders[fingerprint]

    def take_followers(self, leader: int) -> list[int]:
        """The row indexes that get the leader's row, once."""
        return self._followers.pop(leader, [])

    def ended(self, fingerprint: str, row: ResultRow) -> None:
        """A request of this chunk has ended."""
        self._claims.ended(fingerprint, row)

    def committed(self, fingerprints: Mapping[int, str]) -> None:
        """The part is written; `fingerprints` are its answered rows, by row index."""
        self._claims.committed(fingerprints)

    def leave(self) -> None:
        """Release the chunks that wait for requests this one did not finish."""
        self._claims.leave()
