"""Slots of Prefect's global concurrency limits, held by leases that run out with a process that dies.

What raises here is the Prefect client: `httpx.HTTPError` or `PrefectException` where the server cannot be asked.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectException

from prefect_llm.engine.limits.shared_limit import SharedState
from prefect_llm.tasks.run_log import Log

LEASE_S = 60.0
"""The shortest that Prefect grants: a killed process's slots are free again after it."""
RENEW_S = 20.0
"""A third of a lease: two renewals may fail before it runs out."""
MOST_CLAIMS = 10_000
"""More processes than will ever claim."""

logger = logging.getLogger(__name__)


class Lease:
    """Slots of one limit, renewed while they are held."""

    def __init__(self, id: UUID, slots: int, now: float) -> None:
        self.id = id
        self.slots = slots
        self.renewed_at = now


def prepare_limit(client: SyncPrefectClient, name: str, limit: int, log: Log = logger) -> None:
    """Create the limit, or change it to that many slots. While any process holds a part of it, it is not lowered.

    A run that is to ask less than its block allows thus holds back only itself. What became of the limit is
    written to `log`.
    """
    try:
        known = client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        known = None

    if known is not None:
        if known.limit == limit:
            return
        if known.limit > limit and known.active_slots:
            log.info("the limit %s stays at %d, of which others hold a part", name, known.limit)
            return
        log.warning("the limit %s is now %d for all who share it; it was %d", name, limit, known.limit)
    with suppress(ObjectAlreadyExists):  # another process was faster
        client.upsert_global_concurrency_limit_by_name(name, limit)


def take(client: SyncPrefectClient, name: str, slots: int) -> Lease | None:
    """A lease, or `None` where fewer slots are free."""
    try:
        answer = client.increment_concurrency_slots_with_lease([name], slots, "concurrency", LEASE_S)
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.LOCKED:
            return None
        raise
    return Lease(UUID(answer.json()["lease_id"]), slots, time.monotonic())


def renew(client: SyncPrefectClient, lease: Lease) -> bool:
    """Renew the lease where it is time to; `False` where it ran out while the server could not be asked."""
    now = time.monotonic()
    if now - lease.renewed_at < RENEW_S:
        return True
    try:
        client.renew_concurrency_lease(lease.id, LEASE_S)
    except httpx.HTTPStatusError as error:
        if error.response.status_code in (httpx.codes.GONE, httpx.codes.NOT_FOUND):
            return False
        raise
    lease.renewed_at = now
    return True


def give_back(client: SyncPrefectClient, lease: Lease) -> None:
    """Free its slots now. One that the server no longer knows is free: an answer may have been lost."""
    try:
        client.release_concurrency_slots_with_lease(lease.id)
    except httpx.HTTPStatusError as error:
        if error.response.status_code not in (httpx.codes.GONE, httpx.codes.NOT_FOUND):
            raise


class HeldLeases:
    """The leases of one process on one provider's limit, and its claim to more. Used by one thread at a time.

    `most` is how many slots there are. Leases that are to be given back stay `leaving` while requests in flight need
    their slots.
    """

    def __init__(self, limit_name: str, most: int) -> None:
        self.limit_name = limit_name
        self.all_taken = False
        self._claims_name = f"{limit_name}-claims"
        self._most = self._limit = most
        self._kept: list[Lease] = []
        self._leaving: list[Lease] = []
        self._claim: Lease | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """The slots of each lease that is kept, oldest first."""
        return tuple(lease.slots for lease in self._kept)

    @property
    def claims(self) -> bool:
        """Whether it claims more slots."""
        return self._claim is not None

    @property
    def share(self) -> float:
        """The part of the provider's limits that goes with the slots it keeps."""
        return min(sum(self.sizes) / max(self._most, self._limit), 1.0)

    @property
    def empty(self) -> bool:
        """Whether it has no slots, kept or leaving."""
        return not self._kept and not self._leaving

    def prepare(self, client: SyncPrefectClient, log: Log) -> None:
        """Make sure that the limit of slots and that of claims exist."""
        prepare_limit(client, self.limit_name, self._most, log)
        prepare_limit(client, self._claims_name, MOST_CLAIMS, log)

    def read_state(self, client: SyncPrefectClient) -> SharedState:
        """What all processes hold and claim together."""
        limit = client.read_global_concurrency_limit_by_name(self.limit_name)
        claims = client.read_global_concurrency_limit_by_name(self._claims_name)
        self._limit = limit.limit
        self.all_taken = limit.active_slots >= limit.limit
        return SharedState(limit.limit, limit.active_slots, claims.active_slots)

    def take(self, client: SyncPrefectClient, slots: int) -> bool:
        """Take one more lease; `False` where not that many slots are free."""
        lease = take(client, self.limit_name, slots)
        if lease is not None:
            self._kept.append(lease)
        return lease is not None

    def dismiss(self, count: int) -> None:
        """Keep the newest leases no longer: `let_go` gives them back."""
        kept = len(self._kept) - count
        self._leaving += self._kept[kept:]
        del self._kept[kept:]

    def let_go(self, client: SyncPrefectClient, in_flight: int) -> None:
        """Give leases back once no request in flight needs their slots any more."""
        spare = sum(lease.slots for lease in (*self._kept, *self._leaving)) - in_flight
        while self._leaving and self._leaving[-1].slots <= spare:
            lease = self._leaving[-1]
            give_back(client, lease)
            self._leaving.pop()  # only now: what could not be given back is given back at the next look
            spare -= lease.slots

    def set_claim(self, client: SyncPrefectClient, wanted: bool) -> None:
        """Claim more slots, or no longer."""
        if wanted and self._claim is None:
            self._claim = take(client, self._claims_name, 1)
        elif not wanted and self._claim is not None:
            give_back(client, self._claim)
            self._claim = None

    def renew(self, client: SyncPrefectClient) -> None:
        """Renew what is held; forget leases that ran out while the server could not be asked."""
        for lease in self._all():
            if not renew(client, lease):
                self._kept = [each for each in self._kept if each is not lease]
                self._leaving = [each for each in self._leaving if each is not lease]
                self._claim = None if self._claim is lease else self._claim

    def give_back_all(self, client: SyncPrefectClient) -> None:
        """Give everything back, the claim too; raises the last fault. What fails to go runs out by itself."""
        held = self._all()
        self._kept, self._leaving, self._claim = [], [], None
        fault: Exception | None = None

        for lease in held:
            try:
                give_back(client, lease)
            except (httpx.HTTPError, PrefectException) as error:
                fault = error
        if fault is not None:
            raise fault

    def _all(self) -> list[Lease]:
        return [*self._kept, *self._leaving, *([self._claim] if self._claim else [])]
