"""How much a run may spend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class RunBudget:
    """The limits of a run directory over all its attempts, in `currency`; `None` is no limit.

    `max_cost_per_month` holds for all runs of a calendar month (UTC) together. The month's grants lie in
    `month_folder` below `month_prefix`, which is no part of the limits: the manifest does not keep it.
    """

    max_cost: Decimal | None
    currency: str
    max_cost_per_month: Decimal | None = None
    month_folder: str = field(default="", compare=False)
    month_prefix: str = field(default="", compare=False)

    @property
    def tightest(self) -> Decimal | None:
        """The smaller limit; `None` without any."""
        limits = (self.max_cost, self.max_cost_per_month)
        return min((limit for limit in limits if limit is not None), default=None)

    def to_json(self) -> dict[str, str | None]:
        """As `budget` in the manifest; money as strings."""
        limits = {"max_cost": self.max_cost, "max_cost_per_month": self.max_cost_per_month}
        texts = {name: None if limit is None else format(limit, "f") for name, limit in limits.items()}
        return {**texts, "currency": self.currency}

    @classmethod
    def from_json(cls, read: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        limits = [read["max_cost"], read["max_cost_per_month"]]
        run, month = (None if limit is None else Decimal(limit) for limit in limits)
        return cls(run, str(read["currency"]), month)
