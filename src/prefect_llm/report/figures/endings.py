"""How answers ended: how many the output limit cut, which limit would have held them, and words that nobody knows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

import pyarrow as pa
import pyarrow.compute as pc

from prefect_llm.report.figures.pace import LATENCY_STEPS, Spread, percentile, steps_of
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.wire.finish_reasons import Stop, stop_of

COLUMNS = ("status", "finish_reason", "error_kind", "output_tokens", "attempts")
REMEMBERED = 200
"""Unknown words kept when there are `FORGET_ABOVE`: an endpoint may say something else in every row."""
FORGET_ABOVE = 1_000
LEAST_WHOLE = 20
"""Fewer whole answers say nothing of how long the cut ones would have become."""
MOST_CUT = 0.5
"""For one whole answer: where more were cut, the whole ones are all short, and tell as little."""
_STEPS = LATENCY_STEPS
_KEYS = ["finish_reason", "status", "error_kind"]


@dataclass(frozen=True, slots=True)
class Endings:
    """Rows by how their answer ended.

    The output limit `cut` so many, `cut_failed` of which failed for it, and the longest had `longest` tokens; the
    model's context cut `context_full`. A limit of `enough` tokens would probably have held all answers; `None` where
    too few ended by themselves to tell. `unknown` counts answers by words that the tables of finish reasons lack.
    """

    cut: int = 0
    cut_failed: int = 0
    longest: int | None = None
    enough: int | None = None
    context_full: int = 0
    unknown: Mapping[str, int] = field(default_factory=dict)


class EndingsFold:
    """Adds up tables with `COLUMNS`; what it keeps does not grow with the rows."""

    def __init__(self) -> None:
        self._count: Counter[Stop] = Counter()
        self._cut_failed = 0
        self._longest: int | None = None
        self._unknown: Counter[str] = Counter()
        self._whole: Counter[int] = Counter()

    def add(self, table: pa.Table) -> None:
        """Take in a chunk's rows."""
        groups = table.group_by(_KEYS, use_threads=False).aggregate([([], "count_all"), ("output_tokens", "max")])
        for group in groups.to_pylist():
            self._add_group(
                group["finish_reason"], group["error_kind"], group["count_all"], group["output_tokens_max"]
            )

        if len(self._unknown) > FORGET_ABOVE:
            self._unknown = Counter(dict(self._unknown.most_common(REMEMBERED)))
        words = pc.unique(table["finish_reason"]).to_pylist()
        ends = pa.array([word for word in words if stop_of(word) in (Stop.END, None)], pa.string())
        asked = pc.and_(pc.equal(table["status"], "ok"), pc.greater(table["attempts"], 0))
        whole = table.filter(pc.and_(asked, pc.is_in(table["finish_reason"], ends)))["output_tokens"].drop_null()
        for each in pc.value_counts(steps_of(whole, _STEPS).combine_chunks()).to_pylist():
            self._whole[each["values"]] += each["counts"]

    def endings(self) -> Endings:
        """What was folded so far."""
        cut = self._count[Stop.CUT]
        return Endings(
            cut=cut,
            cut_failed=self._cut_failed,
            longest=self._longest,
            enough=enough_for_all(self._whole, cut, self._longest),
            context_full=self._count[Stop.CONTEXT_FULL],
            unknown=dict(self._unknown.most_common()),
        )

    def _add_group(self, word: str | None, error_kind: str | None, count: int, most_tokens: int | None) -> None:
        stop, truncated = stop_of(word), error_kind == ErrorKind.TRUNCATED
        if error_kind is None and stop is None:
            self._unknown[word or ""] += count
        if stop is Stop.CONTEXT_FULL and (truncated or error_kind is None):
            self._count[Stop.CONTEXT_FULL] += count
        elif truncated or (stop is Stop.CUT and error_kind is None):
            self._count[Stop.CUT] += count
            self._cut_failed += count if truncated else 0
            self._longest = max(self._longest or 0, most_tokens or 0) or None  # reused rows count none


def enough_for_all(whole: Spread, cut: int, limit: int | None) -> int | None:
    """The output limit that would probably have held all answers; `None` where that cannot be told.

    Lengths are taken as lognormal: their median and the share that passes the limit tell their spread, and that the
    length that one of all answers is expected to pass by half.
    """
    ended = sum(whole.values())
    if not cut or limit is None or ended < LEAST_WHOLE or cut > MOST_CUT * ended:
        return None

    count, normal = ended + cut, NormalDist()
    median = percentile(whole, min(0.5 * count / ended, 1.0), _STEPS) or 1.0
    spread = math.log(max(limit / median, 1.0)) / normal.inv_cdf(ended / count)
    longest: float = median * math.exp(spread * normal.inv_cdf(1 - 0.5 / count))
    digits = max(math.floor(math.log10(longest)) - 1, 0)
    rounded: int = math.ceil(longest / 10**digits) * 10**digits
    return max(rounded, limit + 1)
