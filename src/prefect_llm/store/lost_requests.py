"""Requests that were lost for documents without a row: what a stopped run may have been billed for all the same."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.values.formatting import plain_if_known
from prefect_llm.values.money import ZERO, add_money
from prefect_llm.values.tally import RequestTally


@dataclass(frozen=True, slots=True)
class LostRequests:
    """How many, and the most that they may have cost; `None` if nothing bounds that."""

    count: int = 0
    possibly_billed: Decimal | None = ZERO

    def __add__(self, other: LostRequests) -> LostRequests:
        return LostRequests(self.count + other.count, add_money(self.possibly_billed, other.possibly_billed))

    def to_stats(self) -> ChunkStats:
        """As they count among a run's other requests."""
        return ChunkStats(requests=RequestTally(lost=self.count), possibly_billed=self.possibly_billed)

    def to_json(self) -> dict[str, Any]:
        """As `lost` in the manifest."""
        return {"requests": self.count, "possibly_billed": plain_if_known(self.possibly_billed)}

    @classmethod
    def from_json(cls, read: dict[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        amount = read["possibly_billed"]
        return cls(int(read["requests"]), None if amount is None else Decimal(amount))
