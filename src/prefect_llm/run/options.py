"""What may change from one attempt at a run to the next."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_llm.run.reference import FLUSH_INTERVAL_S
from prefect_llm.values.budget import RunBudget
from prefect_llm.values.outcome import ONLINE


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a run is carried out this time.

    A larger share of failed documents than `stop_error_share` stops the run. Journals are flushed every
    `flush_interval_s`. `reuse` is the directory of an earlier run whose answers to the same requests are taken;
    "previous" means the runs before this one below the directory `siblings`. `budget` is what may be spent
    (`run_budget` makes it). `lane` is how requests travel.
    """

    stop_error_share: float = 0.5
    flush_interval_s: float = FLUSH_INTERVAL_S
    reuse: str | None = None
    siblings: str | None = None
    budget: RunBudget | None = None
    lane: str = ONLINE
