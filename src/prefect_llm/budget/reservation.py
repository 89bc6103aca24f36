"""The engine's view of a budget: reserve the most that an attempt may cost, then settle, release or forfeit it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from prefect_llm.budget.account import BudgetAccount
from prefect_llm.budget.limits import models_asked
from prefect_llm.pricing import Charge, Terms, charge_for, dearest_price_for, most_input_tokens, terms_of, worst_case
from prefect_llm.values.money import ZERO
from prefect_llm.values.outcome import Completion
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request


def most_cost(provider: Provider, request: Request) -> Decimal:
    """The most that the request may cost, at the provider or any of its fallbacks.

    Raises `BadDocument` if nothing bounds it.
    """
    model, terms = request.parameters.model, terms_of(request.parameters.extra)
    tokens = most_input_tokens(request)
    prices = [
        dearest_price_for(each, name, most_input_tokens=tokens, terms=terms)
        for each, name in models_asked(provider, model)
    ]
    return worst_case(request, prices)


class RequestBudget:
    """What each request of a chunk may cost, and what its answers did cost; an `engine.budget.BudgetGate`."""

    def __init__(self, account: BudgetAccount, provider: Provider) -> None:
        self._account = account
        self._provider = provider
        self._amounts: dict[int, Decimal] = {}
        self._charges: dict[int, list[Charge]] = {}

    def bound(self, request: Request) -> None:
        """Note what the request may cost. Must precede `reserve`; raises `BadDocument` if nothing bounds it."""
        self._amounts[request.row_index] = most_cost(self._provider, request)

    def reserve(self, request: Request, changed: Callable[[], None]) -> Reservation | None:
        """Reserve the request's amount; see `BudgetGate`."""
        amount = self._amounts[request.row_index]
        if not self._account.reserve(amount, changed):
            return None

        charges = self._charges.setdefault(request.row_index, [])
        return Reservation(self._account, self._provider.routes, amount, terms_of(request.parameters.extra), charges)

    def take_charges(self, request: Request) -> Sequence[Charge]:
        """What each answer to the request was settled at, once it has ended: its row says the same."""
        return self._charges.pop(request.row_index, ())


@dataclass(frozen=True, slots=True)
class Reservation:
    """The amount reserved for one attempt; an `engine.budget.Reservation`."""

    account: BudgetAccount
    routes: Sequence[Provider]
    amount: Decimal
    terms: Terms
    charges: list[Charge]

    def settle(self, completion: Completion, model: str, route: int) -> None:
        """Price the answer and settle at that; forfeit if its cost is unknown."""
        provider = self.routes[route]
        charge = charge_for(provider, model, completion.usage, answered=completion.model, terms=self.terms)
        self.charges.append(charge)
        if charge.cost is None:
            self.forfeit()
        else:
            self.account.settle(self.amount, charge.cost)

    def release(self) -> None:
        """The attempt is not billed."""
        self.account.settle(self.amount, ZERO)

    def forfeit(self) -> None:
        """The attempt may have been billed."""
        self.account.forfeit(self.amount)
