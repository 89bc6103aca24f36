"""The faults that requests may meet on purpose, and how one is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class Fault(StrEnum):
    """The kinds of `--fault`."""

    RATE_LIMIT = "rate_limit"
    SERVER_ERROR = "server_error"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"
    HANG = "hang"
    SLOW = "slow"
    RESET = "reset"
    CLOSE = "close"
    CUT = "cut"
    NOT_JSON = "not_json"
    NO_CHOICES = "no_choices"
    NULL_CONTENT = "null_content"
    BAD_REQUEST = "bad_request"


AT_THE_DOOR = frozenset(
    {Fault.RATE_LIMIT, Fault.UNAVAILABLE, Fault.OVERLOADED, Fault.RESET, Fault.CLOSE, Fault.BAD_REQUEST}
)
"""Met at once, as from a gateway: such a request takes no tokens and no slot. The others are admitted."""

SLOWNESS = 10.0
"""A slow request takes this many times its latency."""

Shares = Sequence[tuple[Fault, float]]


def choose(shares: Shares, draw: float) -> Fault | None:
    """The fault that `draw`, uniform over [0, 1), stands for."""
    for fault, share in shares:
        if draw < share:
            return fault
        draw -= share
    return None
