"""Arithmetic with money, in a decimal context of its own: a caller's precision or rounding changes no bill."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow

ZERO = Decimal(0)
# every field is given: one that is left out would be copied from the process's DefaultContext
MONEY = Context(
    prec=38,
    rounding=ROUND_HALF_EVEN,
    Emin=-999999,
    Emax=999999,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[InvalidOperation, DivisionByZero, Overflow],
)
"""38 digits, as the decimal128 columns of a part have."""
_SHOWN = Context(prec=60, rounding=ROUND_HALF_EVEN)
"""A limit may be any number, also one that no column could hold."""


def add_money(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    """The exact sum; unknown (`None`) if either is."""
    return None if one is None or other is None else MONEY.add(one, other)


def sum_known(amounts: Iterable[Decimal | None]) -> Decimal:
    """The exact sum of the amounts that are known."""
    total = ZERO
    for amount in amounts:
        if amount is not None:
            total = MONEY.add(total, amount)
    return total


def round_money(amount: Decimal, decimals: int) -> Decimal:
    """Rounded half-even to that many decimals, of a price or limit of any size."""
    return amount.quantize(Decimal(1).scaleb(-decimals), context=_SHOWN)
