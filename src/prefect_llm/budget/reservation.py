"""The engine's view of a budget: reserve the most that an attempt may cost, then settle, release or forfeit it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from prefect_llm.budget.account import BudgetAccount
from prefect_llm.budget.limits import WITHOUT, models_asked
from prefect_llm.pricing import (
    Charge,
    charge_for,
    dearest_price_for,
    keeps_for_an_hour,
    most_input_tokens,
    terms_of,
    why_unknown,
    worst_case,
)
from prefect_llm.values.errors import BadDocument
from prefect_llm.values.money import ZERO
from prefect_llm.values.outcome import Completion
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request


def most_cost(provider: Provider, request: Request) -> Decimal:
    """The most that the request may cost, at the provider or any of its fallbacks.

    Raises `BadDocument` if nothing bounds it.
    """
    asked = models_asked(provider, request.parameters.model)
    return max(_most_cost_at(each, model, request) for each, model in asked)


def _most_cost_at(provider: Provider, model: str, request: Request) -> Decimal:
    terms = terms_of(model, request.parameters.extra)
    price = dearest_price_for(
        provider,
        model,
        most_input_tokens=most_input_tokens(request),
        terms=terms,
        for_an_hour=keeps_for_an_hour(request),
    )
    if price is None:
        raise BadDocument(
            f"a budget needs a known price, and that of {model!r} at {provider.name} is not known "
            f"({why_unknown(provider, model, terms)}): "
            f"{'give the provider one' if terms.searches == 0 else WITHOUT}"
        )
    return worst_case(request, [price], terms.searches or 0)


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
        return Reservation(self._account, self._provider.routes, amount, request.parameters.extra, charges)

    def take_charges(self, request: Request) -> Sequence[Charge]:
        """What each answer to the request was settled at, once it has ended: its row says the same."""
        return self._charges.pop(request.row_index, ())


@dataclass(frozen=True, slots=True)
class Reservation:
    """The amount reserved for one attempt; an `engine.budget.Reservation`."""

    account: BudgetAccount
    routes: Sequence[Provider]
    amount: Decimal
    parameters: Mapping[str, Any]
    charges: list[Charge]

    def settle(self, completion: Completion, model: str, route: int) -> None:
        """Price the answer and settle at that; forfeit if its cost is unknown."""
        provider = self.routes[route]
        charge = charge_for(
            provider,
            model,
            completion.usage,
            answered=completion.model,
            service=completion.service,
            terms=terms_of(model, self.parameters),
        )
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
