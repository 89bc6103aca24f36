"""The money of one process: granted, reserved for requests, spent. No IO, no lock."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from prefect_llm.values.money import MONEY, ZERO

SLICES = 256
"""A grant is at least this part of the budget: about what a killed process leaves granted and unspent."""
SHARE_OF_RESERVED = Decimal("0.25")
"""A grant is at least this part of what is reserved: with many requests in flight, fewer and larger grants."""


@dataclass(slots=True)
class BudgetBalance:
    """Grants are `free` until they are reserved; what a reservation does not cost is free again.

    `limit` is that of the whole budget, `None` for none. `spent` was billed, `possibly_billed` may have been.
    `in_flight` counts reservations. `refused`: the last draw brought nothing.
    """

    limit: Decimal | None
    free: Decimal = ZERO
    reserved: Decimal = ZERO
    spent: Decimal = ZERO
    possibly_billed: Decimal = ZERO
    in_flight: int = 0
    refused: bool = False

    def reserve(self, amount: Decimal) -> bool:
        """Reserve the amount, if it is free."""
        if amount > self.free:
            return False
        self.free = MONEY.subtract(self.free, amount)
        self.reserved = MONEY.add(self.reserved, amount)
        self.in_flight += 1
        return True

    def settle(self, amount: Decimal, cost: Decimal) -> None:
        """End a reservation at its cost. That may exceed the amount, if an endpoint counts too many tokens."""
        self._end(amount)
        self.spent = MONEY.add(self.spent, cost)
        self.free = MONEY.add(self.free, MONEY.subtract(amount, cost))

    def forfeit(self, amount: Decimal) -> None:
        """End a reservation whose cost is unknown: all of it counts as spent."""
        self._end(amount)
        self.possibly_billed = MONEY.add(self.possibly_billed, amount)

    def add_grant(self, granted: Decimal) -> None:
        """Add what a draw brought; 0 is a refusal."""
        self.free = MONEY.add(self.free, granted)
        self.refused = not granted

    def wanted(self, amount: Decimal = ZERO) -> Decimal:
        """How much to draw for a request of that amount and those after it."""
        ahead = MONEY.multiply(self.reserved, SHARE_OF_RESERVED)
        slice_ = ZERO if self.limit is None else MONEY.divide(self.limit, SLICES)
        return max(self.missing(amount), ahead, slice_)

    def missing(self, amount: Decimal) -> Decimal:
        """How much of the amount is not free."""
        return max(MONEY.subtract(amount, self.free), ZERO)

    @property
    def runs_low(self) -> bool:
        """Whether to draw now, before a request has to wait for it."""
        return not self.refused and self.free < MONEY.divide(self.wanted(), 2)

    def take_free(self) -> Decimal:
        """Take out what is free, to give it back. A debt stays, to be paid from the next grant."""
        free, self.free = self.free, min(self.free, ZERO)
        return max(free, ZERO)

    def _end(self, amount: Decimal) -> None:
        self.reserved = MONEY.subtract(self.reserved, amount)
        self.in_flight -= 1
