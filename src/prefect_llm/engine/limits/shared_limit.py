"""How much of a provider's limits one of several processes holds: decided from what it sees, without IO.

The provider has as many slots as requests that may be in flight. A process holds slots by leases; its part of
every limit is the part of the slots that it holds. A process that uses all it holds claims: the slots
are divided evenly among those that claim, and unclaimed ones may be taken by any.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

PORTIONS = 8
"""A lease is about this part of the limit, so that a part can be given back."""
IDLE_S = 4.0
"""A process without work gives everything back after this long."""
UNUSED_S = 0.5
"""And after this long without a chunk: the process may be killed as its run ends (Ray's are)."""
TURN_S = 10.0
"""With more processes than slots, a slot goes round after this long."""
REST_S = 3.0
"""A process that has ended a turn leaves what is free to the others for this long."""


@dataclass(frozen=True, slots=True)
class Demand:
    """An engine's side: whether it has work, whether a limit lately held it back, and how much is in flight."""

    busy: bool
    held_back: bool
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class SharedState:
    """The shared side: the slots there are, those taken by all processes, and the processes that claim more."""

    limit: int
    taken: int
    claims: int


@dataclass(frozen=True, slots=True)
class Holding:
    """What one process holds: the slots of each lease, oldest first, since when, and whether it claims.

    `idle_since` is when it last had work to do, `None` while it has; `unused_since` when its last chunk ended,
    `None` while one runs; `turn_ended_at` when it last made room for others. Instants in seconds of a steady
    clock.
    """

    leases: tuple[int, ...] = ()
    since: float = 0.0
    claims: bool = False
    idle_since: float | None = None
    unused_since: float | None = None
    turn_ended_at: float = -math.inf

    @property
    def slots(self) -> int:
        """Of all its leases."""
        return sum(self.leases)

    def observed(self, leases: tuple[int, ...], *, claims: bool, busy: bool, now: float) -> Holding:
        """The next one, by what is held and whether there is work at this look."""
        idle_since = now if self.idle_since is None else self.idle_since
        return replace(
            self,
            leases=leases,
            since=now if leases and not self.leases else self.since,
            claims=claims,
            idle_since=None if busy else idle_since,
        )

    def rests(self, now: float) -> bool:
        """Whether it has been without work, or without a chunk, for long enough."""
        ends = ((self.idle_since, IDLE_S), (self.unused_since, UNUSED_S))
        return any(since is not None and now - since >= after_s for since, after_s in ends)


@dataclass(frozen=True, slots=True)
class Steps:
    """What to do: give back this many of the newest leases, take leases of these sizes, claim or not.

    `ends_turn` says that what is given back was a turn.
    """

    give_back: int = 0
    take: tuple[int, ...] = ()
    claim: bool = False
    ends_turn: bool = False


def decide(holding: Holding, seen: SharedState, demand: Demand, now: float) -> Steps:
    """The next steps of one process."""
    if not demand.busy:
        return Steps(give_back=len(holding.leases) if holding.rests(now) else 0)

    claim = demand.held_back or not holding.leases
    # itself too, also where it is content: what it holds beyond its part others may be waiting for
    claimants = max(seen.claims + (not holding.claims), 1)
    fair = seen.limit / claimants
    free = seen.limit - seen.taken
    others_claim = seen.claims > holding.claims

    if free > 0:
        rests = others_claim and now - holding.turn_ended_at < REST_S
        wanted = _wanted(holding, seen, claimants, free) if claim and not rests else 0
        return Steps(take=_portions(wanted, seen.limit), claim=claim)
    if fair < 1 and others_claim and holding.leases and now - holding.since >= TURN_S:
        return Steps(give_back=len(holding.leases), claim=claim, ends_turn=True)
    return Steps(give_back=_beyond(holding, max(math.floor(fair), 1)) if others_claim else 0, claim=claim)


def _wanted(holding: Holding, seen: SharedState, claimants: int, free: int) -> int:
    """Free slots up to the fair part; all of them where no other process claims any."""
    if claimants == 1:
        return free
    fair = max(math.floor(seen.limit / claimants), 1)
    return max(min(free, fair - holding.slots), 0)


def _portions(slots: int, limit: int) -> tuple[int, ...]:
    """That many slots in leases of a portion each."""
    portion = math.ceil(limit / PORTIONS)
    whole, rest = divmod(slots, portion)
    return (portion,) * whole + ((rest,) if rest else ())


def _beyond(holding: Holding, fair: int) -> int:
    """How many of the newest leases lie beyond the fair part; one that reaches into it is kept by half or more."""
    slots, count = holding.slots, 0
    for lease in reversed(holding.leases):
        if slots - lease < fair - lease // 2 or slots - lease < 1:
            break
        slots -= lease
        count += 1
    return count
