"""One provider's limits over all processes and machines that use it, by Prefect's global concurrency limits.

A process leases slots in bulk and keeps to the part of the limits that goes with them. Between two looks at the
server, seconds apart, no request costs a call. Without a server the limits hold per process.
"""

from __future__ import annotations

import atexit
import contextvars
import logging
import math
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from prefect_llm.blocks.prefect_calls import UNREACHABLE, one_try
from prefect_llm.engine import Engine, engine_for
from prefect_llm.engine.limits.shared_limit import UNUSED_S, Demand, Holding, Steps, decide
from prefect_llm.tasks.limit_leases import HeldLeases
from prefect_llm.tasks.run_log import log_of_run
from prefect_llm.tasks.slot_wait import SlotWait
from prefect_llm.values.errors import reason_of
from prefect_llm.values.provider import Provider

LOOK_S = 2.0
SOON_S = 0.25
"""Between two looks of a process that has work and no slot."""
GIVEN_BACK_WITHIN_S = 5.0
"""A server that is away does not hold up the end; leases run out by themselves."""
PREPARING_RETRIES = 2
"""Of the client: after 6 s a process goes on alone, for until then it sends nothing."""
ALONE_S = 60.0
"""How long chunks keep to their process after the server could not be asked."""

logger = logging.getLogger(__name__)


@contextmanager
def limits_shared(provider: Provider) -> Iterator[None]:
    """While the block runs, the limits of the provider and its fallbacks hold over all processes."""
    shared = [
        _shared_limit(each.shared_as, engine_for(each)) for each in provider.routes if each.shared_as is not None
    ]
    for limit in shared:
        limit.enter()

    ended = False
    try:
        yield
        ended = True
    finally:
        for limit in shared:
            limit.leave(for_good=not ended)


def awaited_limits(provider: Provider) -> list[str]:
    """The limits of the provider and its fallbacks that keep this process waiting, for others hold all of them."""
    named = {each.shared_as for each in provider.routes}
    with _registry_lock:
        limits = [limit for (name, _), limit in _registry.items() if name in named]
    return sorted({limit.awaited for limit in limits if limit.awaited is not None})


def give_all_back() -> None:
    """Return every lease of this process."""
    with _registry_lock:
        limits = list(_registry.values())
        _registry.clear()
    for limit in limits:
        limit.close()  # not under the lock: it waits for the limit's thread


class SharedLimit:
    """One provider's slots in this process: a thread leases and returns them while chunks ask the provider."""

    def __init__(self, name: str, engine: Engine) -> None:
        limit_name = f"llm-{name}"
        self._engine = engine
        self._leases = HeldLeases(limit_name, engine.provider.limits.most_in_flight)
        self._wait = SlotWait(limit_name)
        self._holding = Holding()
        self._lock = threading.Lock()  # guards the holding, the users and the thread
        self._users = 0
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._closing = False
        self._alone_until = 0.0

    @property
    def awaited(self) -> str | None:
        """The limit of which this process has work for a slot, and no slot, while others hold them all."""
        return self._leases.limit_name if self._wait.active else None

    def enter(self) -> None:
        """One more chunk asks this provider."""
        with self._lock:
            self._users += 1
            self._holding = replace(self._holding, unused_since=None)
            alone = time.monotonic() < self._alone_until
            if not alone and (self._thread is None or not self._thread.is_alive()):
                self._start()

    def leave(self, *, for_good: bool = False) -> None:
        """One chunk less. After the last one what is held is given back, unless another comes at once.

        `for_good` says that none will, and the process may be ended: returns when it is given back.
        """
        with self._lock:
            self._users -= 1
            if self._users:
                return
            self._holding = replace(self._holding, unused_since=-math.inf if for_good else time.monotonic())
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

    def _start(self) -> None:
        self._engine.set_share(0.0)  # nothing leaves before a slot is leased
        self._wait.begin()
        context = contextvars.copy_context()  # Prefect's settings are those of the thread that starts it
        name = f"share-{self._leases.limit_name}"
        self._thread = threading.Thread(target=context.run, args=(self._run,), name=name, daemon=True)
        self._thread.start()

    # Everything below runs on that thread.

    def _run(self) -> None:
        try:
            with one_try(), get_client(sync_client=True) as client:
                if self._prepare(client):
                    while not self._ended():
                        self._look(client)
                        self._wake.wait(self._pause_s())
                        self._wake.clear()
                    self._give_back_all(client)
        except Exception as fault:  # no caller sees what this thread raises, and the chunks would wait for ever
            name, kind = self._leases.limit_name, type(fault).__name__
            log_of_run(logger).warning("%s: going on alone (%s: %s)", name, kind, reason_of(fault))
        finally:
            self._wait.end()
            self._engine.set_share(1.0)

    def _prepare(self, client: SyncPrefectClient) -> bool:
        """Whether the limits are there; without a server this process keeps the provider's to itself."""
        log = log_of_run(logger)
        try:
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: PREPARING_RETRIES}):
                self._leases.prepare(client, log)
        except UNREACHABLE as error:
            self._alone_until = time.monotonic() + ALONE_S
            log.warning(
                "the limits of %s hold for this process alone, not over all of them: the Prefect server "
                "cannot share them (%s)",
                self._engine.provider.name,
                reason_of(error),
            )
            return False
        return True

    def _ended(self) -> bool:
        """Whether the thread ends: no chunk is left and no lease. A chunk that comes later starts another thread."""
        with self._lock:
            unused = not self._users and self._leases.empty
            ended = self._closing or self._engine.closed or unused
            if ended:
                self._thread = None
            return ended

    def _pause_s(self) -> float:
        if self._users and not self._leases.sizes:
            # spread, or processes that began together would all ask the server at once
            return SOON_S * random.uniform(0.5, 1.5)
        if not self._users:
            return 0.0 if self._leases.empty else UNUSED_S
        return LOOK_S * random.uniform(0.75, 1.25)

    def _look(self, client: SyncPrefectClient) -> None:
        """See, decide, act. An unreachable server changes nothing: no other process can take slots from it either."""
        try:
            demand = self._engine.demand()
            self._leases.renew(client)
            holding = self._observe(demand)
            steps = decide(holding, self._leases.read_state(client), demand, time.monotonic())
            self._act(client, steps, demand)
        except UNREACHABLE as error:
            logger.debug("%s: the Prefect server cannot be asked (%s)", self._leases.limit_name, error)
        self._set_share()

    def _observe(self, demand: Demand) -> Holding:
        with self._lock:
            leases, now = self._leases, time.monotonic()
            self._holding = self._holding.observed(leases.sizes, claims=leases.claims, busy=demand.busy, now=now)
            return self._holding

    def _act(self, client: SyncPrefectClient, steps: Steps, demand: Demand) -> None:
        self._leases.set_claim(client, steps.claim)

        for slots in steps.take:
            if not self._leases.take(client, slots):
                break
            self._observe(demand)
            self._set_share()

        if steps.give_back:
            self._leases.dismiss(steps.give_back)
            if steps.ends_turn:
                with self._lock:
                    self._holding = replace(self._holding, turn_ended_at=time.monotonic())
            self._set_share()
        self._leases.let_go(client, demand.in_flight)

    def _set_share(self) -> None:
        starved = not self._leases.sizes and self._engine.demand().busy
        in_vain = self._wait.is_in_vain(starved=starved, all_taken=self._leases.all_taken)
        self._engine.set_share(1.0 if in_vain else self._leases.share)

    def _give_back_all(self, client: SyncPrefectClient) -> None:
        try:
            self._leases.give_back_all(client)
        except UNREACHABLE as error:
            logger.debug("%s: its leases run out by themselves (%s)", self._leases.limit_name, error)


_registry: dict[tuple[str, Engine], SharedLimit] = {}
"""The shared limits of this process by name and engine; each leaves after its engine has closed, all at exit."""
_registry_lock = threading.Lock()


def _shared_limit(name: str, engine: Engine) -> SharedLimit:
    with _registry_lock:
        for gone in [key for key in _registry if key[1].closed]:
            del _registry[gone]
        return _registry.setdefault((name, engine), SharedLimit(name, engine))


atexit.register(give_all_back)
