"""What one process may still spend of a run's budget: granted money, set aside and settled. No IO, no lock."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from prefect_llm.values.money import MONEY, ZERO

SLICES = 256
"""A grant is at least so small a part of the budget: about as much as a killed process leaves unproven."""
SHARE_OF_RESERVED = Decimal("0.25")
"""Of what is set aside: with many requests in flight grants grow, so that few are written."""


@dataclass(slots=True)
class BudgetBalance:
    """Money is drawn as grants, `free` until it is set aside for a request, and back in `free` where it cost less.

    `limit` is the whole budget, `None` for none. `spent` was billed, `lost` may have been. `drained` says that the
    last grant was refused.
    """

    limit: Decimal | None
    free: Decimal = ZERO
    reserved: Decimal = ZERO
    spent: Decimal = ZERO
    lost: Decimal = ZERO
    in_flight: int = 0
    drained: bool = False

    def hold(self, amount: Decimal) -> bool:
        """Set that much aside, if it is there."""
        if amount > self.free:
            return False
        self.free = MONEY.subtract(self.free, amount)
        self.reserved = MONEY.add(self.reserved, amount)
        self.in_flight += 1
        return True

    def settle(self, held: Decimal, cost: Decimal) -> None:
        """What was set aside cost that much: even more, where the endpoint counts more than it can."""
        self._land(held)
        self.spent = MONEY.add(self.spent, cost)
        self.free = MONEY.add(self.free, MONEY.subtract(held, cost))

    def lose(self, held: Decimal) -> None:
        """Whether it was spent is not known: it counts as spent."""
        self._land(held)
        self.lost = MONEY.add(self.lost, held)

    def take(self, granted: Decimal) -> None:
        """Take a grant in; of nothing, it was refused."""
        self.free = MONEY.add(self.free, granted)
        self.drained = not granted

    def wanted(self, amount: Decimal = ZERO) -> Decimal:
        """How much to draw for a request of that amount, and those that come after it."""
        ahead = MONEY.multiply(self.reserved, SHARE_OF_RESERVED)
        slice_ = ZERO if self.limit is None else MONEY.divide(self.limit, SLICES)
        return max(self.missing(amount), ahead, slice_)

    def missing(self, amount: Decimal) -> Decimal:
        """How much of it is not free."""
        return max(MONEY.subtract(amount, self.free), ZERO)

    @property
    def runs_low(self) -> bool:
        """Whether to draw before it is empty."""
        return not self.drained and self.free < MONEY.divide(self.wanted(), 2)

    def empty(self) -> Decimal:
        """Take out what is free, to give it back. Below nothing there is nothing."""
        free, self.free = self.free, min(self.free, ZERO)
        return max(free, ZERO)

    def _land(self, held: Decimal) -> None:
        self.reserved = MONEY.subtract(self.reserved, held)
        self.in_flight -= 1
