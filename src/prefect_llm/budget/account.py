"""A run's budget in this process: money is granted from the log, set aside per request, settled by what came of it.

Chunks of one run share one purse here. It draws grants on a thread of its own, so that no request waits for a disk
as long as some is free, and gives back what is left when no chunk of the run is worked on any more.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from prefect_llm.budget.balance import BudgetBalance
from prefect_llm.budget.sources import GrantSources
from prefect_llm.pricing import Terms, cost, dearest_price_for, most_input_tokens, price_for, terms_of, worst_case
from prefect_llm.system.stop_signal import StopSignal
from prefect_llm.values.errors import BudgetExceeded, BudgetUnwritable, InvalidInput, RunError, reason_of
from prefect_llm.values.formatting import money
from prefect_llm.values.outcome import Completion
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request

logger = logging.getLogger(__name__)
RETRY_S = 0.5
"""Until a process that was refused looks again whether another has given something back."""
_draws = ThreadPoolExecutor(4, thread_name_prefix="llm-grants")


@dataclass(frozen=True, slots=True)
class MonthBudget:
    """What all runs of one calendar month (UTC) may cost together; its grants lie below `folder`/`prefix`."""

    max_cost: Decimal
    folder: str
    prefix: str


@dataclass(frozen=True, slots=True)
class RunBudget:
    """What a run directory may cost over all its attempts, in `currency`, and within which month's budget."""

    max_cost: Decimal | None
    currency: str
    month: MonthBudget | None = None


def run_budget(
    provider: Provider, model: str, *, max_cost: Decimal | None, month: MonthBudget | None = None
) -> RunBudget | None:
    """The budget, checked against who is asked; `None` where nothing is limited.

    Raises `InvalidInput` where the price of the model is not known, or where fallbacks are paid in another currency.
    """
    if max_cost is None and month is None:
        return None
    currencies = set()
    for each, name in _routes(provider, model):
        price = price_for(each, name)
        if price is None:
            raise InvalidInput(
                f"a budget needs a known price, and the price of {name!r} at {each.name} is not known: give it "
                "by price_input and price_output, or in the provider block"
            )
        if price.per_hour is not None:
            raise InvalidInput(
                f"a budget needs a price per token, and {each.name} is paid by the hour: leave max_cost out"
            )
        currencies.add(price.currency)
    if len(currencies) > 1:
        raise InvalidInput(
            f"a budget needs one currency, and prices are in {', '.join(sorted(currencies))}: state them in one"
        )
    return RunBudget(max_cost, currencies.pop(), month)


def most_cost(provider: Provider, request: Request) -> Decimal:
    """What the request may cost at most, whoever of the provider and its fallbacks serves it.

    Raises `BadDocument` where nothing bounds it.
    """
    model, terms = request.parameters.model, terms_of(request.parameters.extra)
    tokens = most_input_tokens(request)
    prices = [
        dearest_price_for(each, name, most_input_tokens=tokens, terms=terms)
        for each, name in _routes(provider, model)
    ]
    return worst_case(request, prices)


def _routes(provider: Provider, model: str) -> list[tuple[Provider, str]]:
    """Whoever may serve a request for that model, and what each is asked for."""
    return [(provider, model), *((each, each.model or model) for each in provider.fallbacks)]


class BudgetAccount:
    """One run's purse in this process; any thread."""

    def __init__(self, budget: RunBudget, funds: GrantSources, stop: StopSignal) -> None:
        self._budget = budget
        self._funds = funds
        self._stop = stop
        limits = [budget.max_cost, budget.month.max_cost if budget.month is not None else None]
        self._purse = BudgetBalance(min((limit for limit in limits if limit is not None), default=None))
        self._waiting: set[Callable[[], None]] = set()
        self._awaited = Decimal(0)
        self._drawing = False
        self._refused_at = -math.inf
        self._users = 0
        self._lock = threading.Lock()

    @contextmanager
    def in_use(self) -> Iterator[BudgetAccount]:
        """While a chunk is worked on; after the last, what is left is given back."""
        with self._lock:
            self._users += 1
        try:
            yield self
        finally:
            with self._lock:
                self._users -= 1
            self._give_back()

    @property
    def spent(self) -> Decimal:
        """What was billed here, and what may have been."""
        with self._lock:
            return self._purse.spent + self._purse.lost

    @property
    def granted(self) -> Decimal:
        """What all attempts at the run were granted, and have not given back."""
        return self._funds.run.granted

    @property
    def granted_this_month(self) -> Decimal | None:
        """What all runs of the month together were granted, and have not given back; `None` without such a budget."""
        return None if self._funds.month is None else self._funds.month.granted

    def hold(self, amount: Decimal, changed: Callable[[], None]) -> bool:
        """Set that much aside; `False`: `changed` is called when it may fit, or the run stops."""
        with self._lock:
            held = self._purse.hold(amount)
            if not held:
                self._waiting.add(changed)
                self._awaited = amount
            if self._purse.runs_low if held else self._may_draw:
                self._draw()
        return held

    @property
    def _may_draw(self) -> bool:
        """Not at each settled request of many, where there was nothing a moment ago."""
        refused = self._purse.drained and self._purse.in_flight
        return not refused or time.monotonic() - self._refused_at >= RETRY_S

    def settle(self, held: Decimal, cost: Decimal) -> None:
        """What was set aside cost that much."""
        with self._lock:
            self._purse.settle(held, cost)
        self._tell()

    def lose(self, held: Decimal) -> None:
        """Whether it was spent is not known."""
        with self._lock:
            self._purse.lose(held)
        self._tell()

    def _draw(self) -> None:
        """Under the lock: have a grant drawn, unless one is."""
        if not self._drawing:
            self._drawing = True
            _draws.submit(self._drawn)

    def _drawn(self) -> None:
        """Draw for what waits and what may follow; where there is too little, again later or never."""
        try:
            if self._stop.error is None and self._refused():
                if self._may_hold_later():
                    _later(lambda: _draws.submit(self._drawn))
                    return
                self._stop.set(self._exceeded())
        except RunError as error:
            self._stop.set(error)
        except OSError as error:
            reason = reason_of(error.strerror or error)
            self._stop.set(self._unwritable(reason))
        except Exception as fault:  # nobody looks at this thread, and the run would wait for ever
            self._stop.set(self._unwritable(f"{type(fault).__name__}: {reason_of(fault)}"))
        with self._lock:
            self._drawing = False
        self._tell()
        self._give_back()

    def _unwritable(self, reason: str) -> BudgetUnwritable:
        return BudgetUnwritable(f"a grant of the budget cannot be written ({reason}): {self._funds.where}")

    def _refused(self) -> bool:
        """Whether nothing was granted, and nothing that is under way here may leave enough for what waits."""
        with self._lock:
            if not self._users:
                return False
            amount = self._awaited if self._waiting else Decimal(0)
            wanted = self._purse.wanted(amount)
            least = Decimal(0) if self._purse.in_flight else self._purse.missing(amount)
        granted = self._funds.grant(wanted, least)
        with self._lock:
            self._purse.take(granted)
            if not granted:
                self._refused_at = time.monotonic()
            return not granted and not self._purse.in_flight and bool(self._waiting)

    def _may_hold_later(self) -> bool:
        """Whether the others leave enough for what waits, once what is free here may be theirs."""
        with self._lock:
            if self._purse.in_flight:
                return True
            free = self._purse.empty()
            missing = self._purse.missing(self._awaited)
        self._funds.leave(free)
        return self._funds.may_hold(missing)

    def _give_back(self) -> None:
        with self._lock:
            if self._users or self._drawing:
                return
            self._drawing = True  # a chunk that begins meanwhile draws after that, not between
            amount = self._purse.empty()
        try:
            self._funds.leave(amount)
        except OSError as error:  # the rows are written: it is no reason to fail them
            given = money(amount, self._budget.currency)
            logger.warning("%s could not be given back to %s (%s)", given, self._funds.where, error)
        finally:
            with self._lock:
                self._drawing = False
        self._tell()

    def _tell(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, set()
        for changed in waiting:
            changed()

    def _exceeded(self) -> BudgetExceeded:
        limits = []
        if self._budget.max_cost is not None:
            limits.append(f"max_cost {money(self._budget.max_cost, self._budget.currency)}")
        if self._budget.month is not None:
            limits.append(f"this month's {money(self._budget.month.max_cost, self._budget.currency)}")
        return BudgetExceeded(
            f"the next request may cost {money(self._awaited, self._budget.currency)}, which no longer fits "
            f"{' or '.join(limits)}: finished rows are kept"
        )


def _later(draw: Callable[[], object]) -> None:
    timer = threading.Timer(RETRY_S, draw)
    timer.daemon = True
    timer.start()


class RequestBudget:
    """The engine's view: what each request of a chunk may cost, and what came of it."""

    def __init__(self, spending: BudgetAccount, provider: Provider) -> None:
        self._spending = spending
        self._provider = provider
        self._amounts: dict[int, Decimal] = {}

    def bound(self, request: Request) -> None:
        """Note what the request may cost; `BadDocument` where nothing bounds it."""
        self._amounts[request.row_index] = most_cost(self._provider, request)

    def reserve(self, request: Request, changed: Callable[[], None]) -> Reservation | None:
        """Set the request's amount aside; see `engine.budget.BudgetGate`."""
        amount = self._amounts[request.row_index]
        if not self._spending.hold(amount, changed):
            return None
        routes = self._provider.routes
        return Reservation(self._spending, routes, amount, terms_of(request.parameters.extra))


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is set aside for one attempt; see `engine.budget.Reservation`."""

    spending: BudgetAccount
    routes: Sequence[Provider]
    amount: Decimal
    terms: Terms

    def settle(self, completion: Completion, model: str, route: int) -> None:
        """Settle by usage; without it the amount stays set aside."""
        price = price_for(self.routes[route], model, answered=completion.model, terms=self.terms)
        billed = cost(completion.usage, price)
        if billed is None:
            self.forfeit()
        else:
            self.spending.settle(self.amount, billed)

    def release(self) -> None:
        """Nothing was billed."""
        self.spending.settle(self.amount, Decimal(0))

    def forfeit(self) -> None:
        """It stays set aside."""
        self.spending.lose(self.amount)
