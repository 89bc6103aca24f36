"""Slots of a Prefect global concurrency limit, held by leases that run out with a process that dies."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from prefect_llm.tasks.run_log import Log

LEASE_S = 60.0
"""The shortest that Prefect grants: a killed process's slots are free again after it."""
RENEW_S = 20.0

logger = logging.getLogger(__name__)


class Lease:
    """Slots of one limit, renewed while they are held."""

    def __init__(self, id: UUID, slots: int, now: float) -> None:
        self.id = id
        self.slots = slots
        self.renewed_at = now


def prepare_limit(client: SyncPrefectClient, name: str, limit: int, log: Log = logger) -> None:
    """Create the limit, or change it to so many slots. While anybody holds a part of it, it is not lowered.

    A run that is to ask less than its block allows thus holds back nobody but itself. What became of the limit is
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
    """A lease, or `None` where there are not so many slots now."""
    try:
        answer = client.increment_concurrency_slots_with_lease([name], slots, "concurrency", LEASE_S)
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.LOCKED:
            return None
        raise
    return Lease(UUID(answer.json()["lease_id"]), slots, time.monotonic())


def renewed(client: SyncPrefectClient, lease: Lease) -> bool:
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
    """Free its slots now."""
    client.release_concurrency_slots_with_lease(lease.id)
