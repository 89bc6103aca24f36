"""A run's budget in this process: granted from the log, reserved per request, settled by what each answer cost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal

from prefect_llm.budget.balance import BudgetBalance
from prefect_llm.budget.sources import GrantSources
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.budget import RunBudget
from prefect_llm.values.errors import BudgetExceeded, BudgetUnwritable, RunError, reason_of
from prefect_llm.values.formatting import money
from prefect_llm.values.money import MONEY, ZERO

RETRY_S = 0.5
"""From a refused draw to the next: by then other processes may have given something back."""
STOPPED_WAIT_S = 1.0
"""A stopped run waits this long for its rest to be given back: a slow store must not hold up the stop."""
SIGNAL_LATENCY_S = 0.5
"""A wait in the main thread hears of a signal after this at the latest."""

logger = logging.getLogger(__name__)


def open_account(budget: RunBudget, run_folder_url: str, run_id: str, stop: StopFlag) -> BudgetAccount:
    """The account of a run in this process. All its chunks share one. `stop` is set once the budget is exceeded."""
    return BudgetAccount(budget, GrantSources.open(budget, run_folder_url, run_id), stop)


class BudgetAccount:
    """One process's share of a run's budget. Thread-safe.

    While chunks of the run are in use, a thread of the account draws grants ahead of need: no request waits for a
    store as long as money is free. After the last chunk that thread gives back what is left, and ends. `_lock` guards
    every field; no IO and no callback happens under it.
    """

    def __init__(self, budget: RunBudget, sources: GrantSources, stop: StopFlag) -> None:
        self._budget = budget
        self._sources = sources
        self._stop = stop
        self._balance = BudgetBalance(budget.tightest)
        self._waiting: set[Callable[[], None]] = set()
        self._awaited = ZERO
        self._users = 0
        self._worker: threading.Thread | None = None
        self._lock = threading.Condition(threading.Lock())

    @contextmanager
    def in_use(self) -> Iterator[BudgetAccount]:
        """While a chunk is asked. On return from the last one what is left has been given back.

        A stopped run does not wait for that longer than `STOPPED_WAIT_S`.
        """
        self._enter()
        try:
            yield self
        finally:
            self._leave()

    @property
    def spent(self) -> Decimal:
        """What was billed to this process, and what may have been."""
        with self._lock:
            return MONEY.add(self._balance.spent, self._balance.possibly_billed)

    @property
    def granted(self) -> Decimal:
        """What all processes and attempts were granted of the run's budget and have not given back. Reads the log."""
        return self._sources.granted

    @property
    def granted_this_month(self) -> Decimal | None:
        """What all runs of the month were granted and have not given back; `None` without such a limit."""
        return self._sources.granted_this_month

    def reserve(self, amount: Decimal, changed: Callable[[], None]) -> bool:
        """Reserve the amount. If `False`, `changed` is called once it may fit, or the run stops."""
        with self._lock:
            reserved = self._balance.reserve(amount)
            if not reserved:
                self._waiting.add(changed)
                self._awaited = amount
            if self._needs_draw:
                self._lock.notify_all()
        return reserved

    def settle(self, amount: Decimal, cost: Decimal) -> None:
        """End a reservation of that amount at its cost."""
        with self._lock:
            self._balance.settle(amount, cost)
            waiting = self._take_waiting()
        _notify(waiting)

    def forfeit(self, amount: Decimal) -> None:
        """End a reservation whose cost is unknown: all of it counts as spent."""
        with self._lock:
            self._balance.forfeit(amount)
            waiting = self._take_waiting()
        _notify(waiting)

    def _take_waiting(self) -> Iterable[Callable[[], None]]:
        """Under the lock: the requests that are to try again."""
        if not self._waiting:
            return ()
        waiting, self._waiting = self._waiting, set()
        self._lock.notify_all()
        return waiting

    def _enter(self) -> None:
        with self._lock:
            if self._worker is None or not self._worker.is_alive():  # a fork has no threads
                worker = threading.Thread(target=self._work, name="llm-budget", daemon=True)
                worker.start()  # it waits for the lock
                self._worker = worker
            self._users += 1
            self._lock.notify_all()

    def _leave(self) -> None:
        started = time.monotonic()
        with self._lock:
            self._users -= 1
            self._lock.notify_all()
            while self._users == 0 and self._worker is not None and self._worker.is_alive():
                if self._stop.error is not None and time.monotonic() - started > STOPPED_WAIT_S:
                    return  # what is not given back stays granted, and counts as spent
                self._lock.wait(SIGNAL_LATENCY_S)

    # What follows runs on the account's own thread.

    def _work(self) -> None:
        """Draw whenever that is needed; once no chunk is left, give back the rest and end."""
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._needs_draw or not self._users)
                in_use = self._users > 0

            if in_use:
                self._draw_or_stop()
            elif self._closed():
                return

    @property
    def _needs_draw(self) -> bool:
        """Under the lock. A chunk without requests draws nothing."""
        if self._stop.error is not None:
            return False
        return bool(self._waiting) or (self._balance.in_flight > 0 and self._balance.runs_low)

    def _draw_or_stop(self) -> None:
        """Draw, then let what waits try again. Any fault stops the run, or its requests would wait for ever."""
        try:
            self._draw()
            with self._lock:
                waiting = self._take_waiting()
            _notify(waiting)
        except RunError as error:
            self._stop.set(error)
        except OSError as error:
            self._stop.set(self._unwritable(reason_of(error.strerror or error)))
        except Exception as fault:
            self._stop.set(self._unwritable(f"{type(fault).__name__}: {reason_of(fault)}"))

    def _draw(self) -> None:
        """Draw for what waits and for what follows. After a refusal wait for money to come back, or stop the run."""
        with self._lock:
            amount = self._awaited if self._waiting else ZERO
            wanted = self._balance.wanted(amount)
            least = ZERO if self._balance.in_flight else self._balance.missing(amount)
        # not under the lock: requests are settled while the store is written
        granted = self._sources.grant(wanted, least)

        with self._lock:
            self._balance.add_grant(granted)
            if granted or not self._waiting:
                return
            if self._balance.in_flight:  # some of it may be free soon
                self._lock.wait_for(lambda: not (self._users and self._balance.in_flight), RETRY_S)
                return

        if not self._may_fit_later():
            self._stop.set(self._exceeded())
            return
        with self._lock:
            self._lock.wait_for(lambda: not self._users, RETRY_S)

    def _may_fit_later(self) -> bool:
        """Whether what waits may fit later. Gives back what is free here: another process may need just that."""
        with self._lock:
            if self._balance.in_flight:
                return True
            free = self._balance.take_free()
            missing = self._balance.missing(self._awaited)
        self._sources.give_back_rest(free)
        return self._sources.may_grant_later(missing)

    def _closed(self) -> bool:
        """Give back what is left, and end the thread unless a chunk has begun meanwhile."""
        with self._lock:
            amount = self._balance.take_free()
        self._give_back(amount)

        with self._lock:
            if self._users:
                return False
            self._worker = None
            self._lock.notify_all()
            return True

    def _give_back(self, amount: Decimal) -> None:
        """Rows are written by now: a store that fails here fails none of them, and the amount stays spent."""
        try:
            self._sources.give_back_rest(amount)
        except Exception as error:
            given = money(amount, self._budget.currency)
            logger.warning("%s could not be given back to %s (%s)", given, self._sources.where, error)

    def _unwritable(self, reason: str) -> BudgetUnwritable:
        return BudgetUnwritable(f"a grant of the budget cannot be written ({reason}): {self._sources.where}")

    def _exceeded(self) -> BudgetExceeded:
        currency, limits = self._budget.currency, []
        if self._budget.max_cost is not None:
            limits.append(f"max_cost {money(self._budget.max_cost, currency)}")
        if self._budget.max_cost_per_month is not None:
            limits.append(f"this month's {money(self._budget.max_cost_per_month, currency)}")
        return BudgetExceeded(
            f"the next request may cost {money(self._awaited, currency)}, which no longer fits "
            f"{' or '.join(limits)}: finished rows are kept"
        )


def _notify(waiting: Iterable[Callable[[], None]]) -> None:
    """Not under the lock: what is called may reserve at once."""
    for changed in waiting:
        changed()
