"""How processes share one provider's limits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Demand:
    """Whether an engine has work, and whether a limit lately held it back."""

    busy: bool
    hungry: bool
