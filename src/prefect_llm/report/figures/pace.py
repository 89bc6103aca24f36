"""How a run went over time, and how its latencies and lengths spread: counts in bins, so that memory stays bounded.

Bins of time begin a second wide and double whenever there are too many of them; those of latency and length grow by
a constant factor, so that a percentile read from them is off by less than that.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from prefect_llm.report.figures.totals import metered

COLUMNS = ("status", "requested_model", "input_tokens", "output_tokens", "attempts", "latency_ms", "queued_ms",
           "finished_at")  # fmt: skip
MOST_BINS = 120
"""Of time; as many as a chart shows."""
LATENCY_STEPS = 8
"""Bins to a doubling: 9% wide."""
LENGTH_STEPS = 2
"""Bins to a doubling: 41% wide."""
_SECOND_US = 1_000_000
_SUMS = ("ok", "retries", "tokens", "busy_ms")

Spread = Mapping[int, int]
"""Rows by bin: bin `b` holds values from `2 ** (b / steps)` up to where the next one begins."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The rows that ended in one bin of time; `latency` is that of the answered ones, in milliseconds."""

    start: datetime
    seconds: float
    rows: int
    ok: int
    retries: int
    tokens: int
    busy_ms: float
    latency: Spread

    @property
    def in_flight(self) -> float:
        """The mean number of requests in flight (Little's law), by the last attempts of the rows."""
        return self.busy_ms / 1000 / self.seconds


@dataclass(frozen=True, slots=True)
class Pace:
    """The moments in order, those without a row left out; the spreads of answered rows, of all and by model."""

    moments: tuple[Moment, ...] = ()
    latency: Spread = field(default_factory=dict)
    queued: Spread = field(default_factory=dict)
    input_tokens: Spread = field(default_factory=dict)
    output_tokens: Spread = field(default_factory=dict)
    latency_by_model: Mapping[str, Spread] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """From the first bin to the end of the last one."""
        if not self.moments:
            return 0.0
        first, last = self.moments[0], self.moments[-1]
        return (last.start - first.start).total_seconds() + last.seconds

    @property
    def in_flight(self) -> float:
        """The mean number of requests in flight, over the bins that have rows."""
        seconds = sum(moment.seconds for moment in self.moments)
        return sum(moment.busy_ms for moment in self.moments) / 1000 / seconds if seconds else 0.0


class PaceFold:
    """Adds up tables with `COLUMNS`. Rows that were not asked have no time of this run, and do not count."""

    def __init__(self) -> None:
        self._width_us = _SECOND_US
        self._moments: dict[int, Counter[str]] = {}
        self._latency: Counter[tuple[int, int]] = Counter()
        self._by_model: dict[str, Counter[int]] = {}
        self._spreads: dict[str, Counter[int]] = {name: Counter() for name in ("queued", "input", "output")}

    def add(self, table: pa.Table) -> None:
        """Take in a chunk's rows."""
        asked = table.filter(pc.and_(pc.greater(table["attempts"], 0), pc.is_valid(table["finished_at"])))
        if not asked.num_rows:
            return
        ended_us = pc.cast(asked["finished_at"], pa.int64())
        self._widen(pc.min(ended_us).as_py(), pc.max(ended_us).as_py())
        self._add_moments(asked, pc.divide(ended_us, self._width_us))
        counted = asked.filter(metered(asked))
        self._add_spread("input", counted["input_tokens"], LENGTH_STEPS)
        self._add_spread("output", counted["output_tokens"], LENGTH_STEPS)

    def pace(self) -> Pace:
        """What was folded so far."""
        by_moment: dict[int, dict[int, int]] = {}
        latency: Counter[int] = Counter()
        for (moment, step), rows in sorted(self._latency.items()):
            by_moment.setdefault(moment, {})[step] = rows
            latency[step] += rows

        return Pace(
            moments=tuple(self._moment(number, by_moment.get(number, {})) for number in sorted(self._moments)),
            latency=latency,
            queued=self._spreads["queued"],
            input_tokens=self._spreads["input"],
            output_tokens=self._spreads["output"],
            latency_by_model=dict(sorted(self._by_model.items())),
        )

    def _moment(self, number: int, latency: Spread) -> Moment:
        sums = self._moments[number]
        return Moment(
            start=datetime.fromtimestamp(number * self._width_us / _SECOND_US, UTC),
            seconds=self._width_us / _SECOND_US,
            rows=sums["rows"],
            ok=sums["ok"],
            retries=sums["retries"],
            tokens=sums["tokens"],
            busy_ms=float(sums["busy_ms"]),
            latency=latency,
        )

    def _add_moments(self, asked: pa.Table, moments: pa.ChunkedArray) -> None:
        ok = pc.equal(asked["status"], "ok")
        tokens = pc.add(pc.coalesce(asked["input_tokens"], 0), pc.coalesce(asked["output_tokens"], 0))
        keyed = pa.table(
            {
                "moment": moments,
                "model": asked["requested_model"],
                "step": steps_of(asked["latency_ms"], LATENCY_STEPS),
                "ok": pc.cast(ok, pa.int64()),
                "retries": pc.subtract(asked["attempts"], 1),
                "tokens": tokens,
                "busy_ms": asked["latency_ms"],
            }
        )

        for line in _grouped(keyed, ["moment"], [([], "count_all"), *((name, "sum") for name in _SUMS)]):
            sums = self._moments.setdefault(line["moment"], Counter())
            sums["rows"] += line["count_all"]
            for name in _SUMS:
                sums[name] += line[f"{name}_sum"] or 0

        answered = keyed.filter(pc.and_(ok, pc.is_valid(keyed["step"])))
        for line in _grouped(answered, ["moment", "model", "step"], [([], "count_all")]):
            self._latency[line["moment"], line["step"]] += line["count_all"]
            self._by_model.setdefault(line["model"] or "", Counter())[line["step"]] += line["count_all"]
        self._add_spread("queued", asked["queued_ms"].filter(ok), LATENCY_STEPS)

    def _add_spread(self, name: str, values: pa.ChunkedArray, steps: int) -> None:
        counts = pc.value_counts(steps_of(values, steps).combine_chunks()).to_pylist()
        self._spreads[name].update({each["values"]: each["counts"] for each in counts if each["values"] is not None})

    def _widen(self, first_us: int, last_us: int) -> None:
        """Make the bins so wide that there are few enough from the first row's to the last one's."""
        known = [edge * self._width_us for edge in (min(self._moments), max(self._moments))] if self._moments else []
        first_us, last_us = min(first_us, *known, first_us), max(last_us, *known, last_us)
        while last_us // self._width_us - first_us // self._width_us >= MOST_BINS:
            self._width_us *= 2
            merged: dict[int, Counter[str]] = {}
            for number, sums in self._moments.items():
                merged.setdefault(number // 2, Counter()).update(sums)
            self._moments = merged
            latency: Counter[tuple[int, int]] = Counter()
            for (number, step), rows in self._latency.items():
                latency[number // 2, step] += rows
            self._latency = latency


def steps_of(values: pa.ChunkedArray, steps: int) -> pa.ChunkedArray:
    """The bin of each value; what is below 1 counts as 1."""
    above = pc.max_element_wise(pc.cast(values, pa.float64()), 1.0, skip_nulls=False)
    return pc.cast(pc.floor(pc.multiply(pc.log2(above), float(steps))), pa.int64())


def edge(step: int, steps: int) -> float:
    """Where a bin begins."""
    return math.exp2(step / steps)


def percentile(spread: Spread, share: float, steps: int) -> float | None:
    """The value that this share (0 to 1) of the rows is at or below, by its bin; `None` of none."""
    total = sum(spread.values())
    if not total:
        return None
    below = 0
    for step in sorted(spread):
        if below + spread[step] >= share * total:
            return math.exp2((step + (share * total - below) / spread[step]) / steps)
        below += spread[step]
    return edge(max(spread) + 1, steps)


def added(spreads: Any) -> Spread:
    """One spread of several."""
    total: Counter[int] = Counter()
    for spread in spreads:
        total.update(spread)
    return total


def _grouped(table: pa.Table, keys: list[str], sums: list[Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.group_by(keys, use_threads=False).aggregate(sums).to_pylist()
    return rows
