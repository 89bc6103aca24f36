"""What one process holds of a provider's shared limits: slots leased in bulk, and the part of the limits with them.

Between two looks at the server, seconds apart, no request costs a call. Without a server the limits hold per process.
"""

from __future__ import annotations

import contextvars
import logging
import math
import random
import threading
import time
from collections.abc import Sequence

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import PrefectException

from prefect_llm.engine import Engine
from prefect_llm.engine.limits.shared_limit import UNUSED_S, Demand, Holding, SharedState, Steps, decide
from prefect_llm.tasks.limit_leases import Lease, give_back, prepare_limit, renewed, take
from prefect_llm.tasks.run_log import log_of_run
from prefect_llm.values.errors import reason_of

LOST_AFTER_S = 90.0
"""Longer than a lease: who gets no slot for so long takes it that slots were lost with a killed process."""
TOLD_AFTER_S = 3.0
"""So long without a slot is told; a process that has just begun has one sooner, if any is free."""
LOOK_S = 2.0
SOON_S = 0.25
"""Between two looks of a process that has work and no slot."""
GIVEN_BACK_WITHIN_S = 5.0
"""A server that is away does not hold up the end; leases run out by themselves."""
ALONE_S = 60.0
"""After a server that could not be asked, chunks keep to their process for so long."""
MANY = 10_000
"""More processes than will ever claim."""

logger = logging.getLogger(__name__)

_Unreachable = (httpx.HTTPError, PrefectException)


def waiting_for(limits: Sequence[str]) -> str:
    """What a run is told to wait for."""
    named = f"{'limit' if len(limits) == 1 else 'limits'} {' and '.join(limits)}"
    return (
        f"waiting for slots of Prefect's global concurrency {named}, which others hold: it goes on by itself as soon "
        "as one is free"
    )


class SharedLimit:
    """What this process holds of one provider: a thread that looks, takes and gives back while there are users."""

    def __init__(self, name: str, engine: Engine) -> None:
        self._limit_name = f"llm-{name}"
        self._claims_name = f"llm-{name}-claims"
        self._engine = engine
        self._most = engine.provider.limits.most_in_flight
        self._limit = self._most
        self._lock = threading.Lock()
        self._users = 0
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._closing = False
        self._alone_until = 0.0
        self._starved_since = time.monotonic()
        self._all_taken = False
        self._waits = False
        self._told_waiting = False
        self._told_alone = False
        self._log = log_of_run(logger)
        self._leases: list[Lease] = []
        self._leaving: list[Lease] = []
        self._claim: Lease | None = None
        self._since = 0.0
        self._idle_since: float | None = None
        self._unused_since: float | None = None
        self._turn_ended_at = -math.inf

    @property
    def awaited(self) -> str | None:
        """The limit of which this process has work for a slot, and no slot, while others hold them all."""
        return self._limit_name if self._waits else None

    def enter(self) -> None:
        """One more chunk asks this provider."""
        with self._lock:
            self._users += 1
            self._unused_since = None
            alone = time.monotonic() < self._alone_until
            if not alone and (self._thread is None or not self._thread.is_alive()):
                self._engine.set_share(0.0)
                self._starved_since = time.monotonic()
                self._told_waiting = False
                self._log = log_of_run(logger)
                context = contextvars.copy_context()  # Prefect's settings are those of whoever started it
                self._thread = threading.Thread(
                    target=context.run, args=(self._hold,), name=f"share-{self._limit_name}", daemon=True
                )
                self._thread.start()

    def leave(self, *, for_good: bool = False) -> None:
        """One chunk less. After the last one what is held is given back, unless another comes at once.

        `for_good` says that none will, and the process may be ended: returns when it is given back.
        """
        with self._lock:
            self._users -= 1
            if self._users:
                return
            self._unused_since = -math.inf if for_good else time.monotonic()
            thread = self._thread
        self._wake.set()
        if for_good and thread is not None:
            thread.join(timeout=GIVEN_BACK_WITHIN_S)

    def close(self) -> None:
        """Give everything back now."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=GIVEN_BACK_WITHIN_S)

    # Everything below runs on the share's own thread.

    def _hold(self) -> None:
        try:
            with get_client(sync_client=True) as client:
                if self._prepared(client):
                    while not self._ended():
                        self._look(client)
                        self._wake.wait(self._pause_s())
                        self._wake.clear()
                    self._release_all(client)
        except Exception as fault:  # nobody looks at this thread, and the chunks would wait for ever
            self._log.warning("%s: going on alone (%s: %s)", self._limit_name, type(fault).__name__, reason_of(fault))
        finally:
            self._waits = False
            self._engine.set_share(1.0)

    def _prepared(self, client: SyncPrefectClient) -> bool:
        """Whether the two limits are there; without a server this process keeps the provider's to itself."""
        try:
            for name, limit in ((self._limit_name, self._most), (self._claims_name, MANY)):
                prepare_limit(client, name, limit, self._log)
        except _Unreachable as error:
            self._alone_until = time.monotonic() + ALONE_S
            self._log.warning(
                "the limits of %s hold for this process alone, not over all of them: the Prefect server "
                "cannot share them (%s)",
                self._engine.provider.name,
                reason_of(error),
            )
            return False
        return True

    def _ended(self) -> bool:
        """Whether nobody is left to hold for; then nobody may come either, but to a new thread."""
        with self._lock:
            over = (
                self._closing or self._engine.closed or (not self._users and not self._leases and not self._leaving)
            )
            if over:
                self._thread = None
            return over

    def _pause_s(self) -> float:
        if self._users and not self._leases:
            return SOON_S * random.uniform(0.5, 1.5)
        if not self._users:
            return UNUSED_S if self._leases or self._leaving else 0.0
        return LOOK_S * random.uniform(0.75, 1.25)

    def _look(self, client: SyncPrefectClient) -> None:
        """See, decide, act. An unreachable server changes nothing: nobody else can take slots from it either."""
        try:
            demand = self._demand()
            self._renew(client)
            steps = decide(self._holding(), self._seen(client), demand, time.monotonic())
            self._act(client, steps, demand)
        except _Unreachable as error:
            logger.debug("%s: the Prefect server cannot be asked (%s)", self._limit_name, error)
        self._set_share()

    def _demand(self) -> Demand:
        demand = self._engine.demand()
        if demand.busy:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = time.monotonic()
        return demand

    def _holding(self) -> Holding:
        slots = tuple(lease.slots for lease in self._leases)
        return Holding(
            slots, self._since, self._claim is not None, self._idle_since, self._unused_since, self._turn_ended_at
        )

    def _seen(self, client: SyncPrefectClient) -> SharedState:
        limit = client.read_global_concurrency_limit_by_name(self._limit_name)
        claims = client.read_global_concurrency_limit_by_name(self._claims_name)
        self._limit = limit.limit
        self._all_taken = limit.active_slots >= limit.limit
        return SharedState(limit.limit, limit.active_slots, claims.active_slots)

    def _act(self, client: SyncPrefectClient, steps: Steps, demand: Demand) -> None:
        self._set_claim(client, steps.claim)
        for slots in steps.take:
            if (lease := take(client, self._limit_name, slots)) is None:
                break
            if not self._leases:
                self._since = time.monotonic()
            self._leases.append(lease)
            self._set_share()
        if steps.give_back:
            kept = len(self._leases) - steps.give_back
            self._leaving += self._leases[kept:]
            del self._leases[kept:]
            if steps.ends_turn:
                self._turn_ended_at = time.monotonic()
            self._set_share()
        self._let_go(client, demand)

    def _let_go(self, client: SyncPrefectClient, demand: Demand) -> None:
        """Give leases back once no request in flight needs their slots any more."""
        spare = sum(lease.slots for lease in (*self._leases, *self._leaving)) - demand.in_flight
        while self._leaving and self._leaving[-1].slots <= spare:
            lease = self._leaving.pop()
            spare -= lease.slots
            give_back(client, lease)

    def _set_claim(self, client: SyncPrefectClient, wanted: bool) -> None:
        if wanted and self._claim is None:
            self._claim = take(client, self._claims_name, 1)
        elif not wanted and self._claim is not None:
            claim, self._claim = self._claim, None
            give_back(client, claim)

    def _renew(self, client: SyncPrefectClient) -> None:
        """Keep what is held, but for leases that ran out while the server could not be asked."""
        for lease in self._held():
            if not renewed(client, lease):
                self._forget(lease)

    def _forget(self, lease: Lease) -> None:
        self._leases = [each for each in self._leases if each is not lease]
        self._leaving = [each for each in self._leaving if each is not lease]
        self._claim = None if self._claim is lease else self._claim

    def _set_share(self) -> None:
        """Where no slot came for longer than a lease lasts, slots were lost: better alone than for ever at rest."""
        now = time.monotonic()
        if self._leases or not self._engine.demand().busy:
            self._starved_since = now
        starved_s = now - self._starved_since
        self._waits = self._all_taken and TOLD_AFTER_S < starved_s <= LOST_AFTER_S
        if self._waits and not self._told_waiting:
            self._told_waiting = True
            self._log.info("%s", waiting_for([self._limit_name]))
        if starved_s > LOST_AFTER_S:
            if not self._told_alone:
                self._log.warning("%s: no slot came free in %.0f s; going on alone", self._limit_name, LOST_AFTER_S)
            self._told_alone = True
            self._engine.set_share(1.0)
            return
        slots = sum(lease.slots for lease in self._leases)
        self._engine.set_share(min(slots / max(self._most, self._limit), 1.0))

    def _release_all(self, client: SyncPrefectClient) -> None:
        held = self._held()
        self._leases, self._leaving, self._claim = [], [], None
        try:
            for lease in held:
                give_back(client, lease)
        except _Unreachable as error:
            logger.debug("%s: its leases run out by themselves (%s)", self._limit_name, error)

    def _held(self) -> list[Lease]:
        return [*self._leases, *self._leaving, *([self._claim] if self._claim else [])]
