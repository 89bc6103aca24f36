"""A run as plain data: small enough to travel to every chunk task, in any process."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_llm.values.budget import RunBudget
from prefect_llm.values.outcome import ONLINE

FLUSH_INTERVAL_S = 2.0
"""How much work a power failure may lose; on an object store, a killed process too."""


@dataclass(frozen=True, slots=True)
class RunReference:
    """An opened run. What its chunks share within a process is in that process's `RunContext`.

    `url` is its directory, `pending` are the chunks without a part. `invocation` identifies this attempt at the run:
    its chunks count and stop together, across processes if it is `spread` over several. `epoch` is that of the
    directory's lease: a later one means that the run was taken over. `reuse` lists earlier runs whose answers are
    taken; the first that has one counts. `lane` names how its requests travel. `answers_shown` of the first answers
    are part of its summary.
    """

    url: str
    run_id: str
    rows: int
    pending_rows: int
    chunk_rows: int
    pending: tuple[int, ...]
    invocation: str
    stop_error_share: float = 0.5
    flush_interval_s: float = FLUSH_INTERVAL_S
    epoch: int = 0
    reuse: tuple[str, ...] = ()
    budget: RunBudget | None = None
    spread: bool = False
    lane: str = ONLINE
    answers_shown: int = 0

    def rows_of(self, chunk: int) -> range:
        """The rows of a chunk, from 0."""
        return range(chunk * self.chunk_rows, min((chunk + 1) * self.chunk_rows, self.rows))
