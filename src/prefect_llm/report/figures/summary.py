"""A run as it ended: the totals of its directory, and what this invocation did for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from prefect_llm.report.figures.endings import Endings
from prefect_llm.report.figures.first_rows import FirstRow
from prefect_llm.report.figures.models import ModelUse
from prefect_llm.report.figures.totals import Totals
from prefect_llm.store.manifest import State, Stopped


@dataclass(frozen=True, slots=True)
class Summary:
    """`totals` cover the whole run directory at `output`; the counters and `seconds` only this invocation.

    `requests` were sent, `retries` of them not the first for their document, `throttled` were answered 429.
    `cost_uncertain` may have been billed on top of the known cost; `None` where its bound is not known. `page` is
    where the report with charts lies, if it is drawn. `files_left_out` of the input are no documents, and `left_out`
    says which.
    """

    totals: Totals
    state: State
    output: str
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    seconds: float = 0.0
    stopped: Stopped | None = None
    cost_uncertain: Decimal | None = Decimal(0)
    models_used: tuple[ModelUse, ...] = ()
    advice: tuple[str, ...] = ()
    page: str | None = None
    files_left_out: int = 0
    left_out: str | None = None
    endings: Endings = field(default_factory=Endings)
    first_rows: tuple[FirstRow, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The object of `--json`; money is a string, without an exponent."""
        return {
            "state": self.state,
            "stopped": self.stopped.to_json() if self.stopped else None,
            **self.totals.to_json(self.cost_uncertain),
            "requests": self.requests,
            "retries": self.retries,
            "throttled": self.throttled,
            "seconds": round(self.seconds, 3),
            "output": self.output,
            "files_left_out": self.files_left_out,
            "cut": self.endings.cut,
        }

    @property
    def models(self) -> tuple[str, ...]:
        """The models that were asked for."""
        return self.totals.models

    @property
    def success_share(self) -> float | None:
        """Answered rows over rows with a result, from 0 to 1; `None` before the first."""
        done = self.totals.ok + self.totals.failed
        return self.totals.ok / done if done else None

    @property
    def asked(self) -> int:
        """Documents asked in this invocation: each has one request that is no retry."""
        return self.requests - self.retries

    @property
    def rows_per_second(self) -> float | None:
        """Documents asked per second of this invocation; `None` if it asked nothing."""
        return self.asked / self.seconds if self.asked > 0 and self.seconds > 0 else None

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens in and out per second of this invocation: exact unless the run was resumed.

        Of a resumed run it is the rows' mean times the rows asked now, since rows do not say who asked them.
        """
        rows_per_second = self.rows_per_second
        if rows_per_second is None or not self.totals.asked:
            return None
        return self.totals.tokens.total / self.totals.asked * rows_per_second
