"""The pictures of a run: each a chart, the sentence that stands for it, and its figures as a table.

What has nothing to say is not drawn: one model, one day, a run of two seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from prefect_llm.report.figures.folding import RunFigures
from prefect_llm.report.figures.models import by_model
from prefect_llm.report.figures.pace import LATENCY_STEPS, LENGTH_STEPS, Moment, Pace, Spread, edge, percentile
from prefect_llm.report.pages import charts
from prefect_llm.values import formatting as text
from prefect_llm.values.money import sum_known

LEAST_MOMENTS = 3
MOST_SERIES = len(charts.PALETTE)
_TABLE_ROWS = 24

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Picture:
    """`svg` under `title`; `told` says in a sentence what it shows. The table has as many cells a row as `header`."""

    section: str
    title: str
    told: str
    svg: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def pictures(figures: RunFigures) -> tuple[Picture, ...]:
    """Those that say something of this run, in the order of the page's sections."""
    return tuple(picture for draw in _DRAWN for picture in draw(figures))


def _cost_by_model(figures: RunFigures) -> Iterator[Picture]:
    currency, discarded = figures.totals.currency, figures.totals.chunk_stats.discarded
    spent = [(each.model, each.lane, each.cost) for each in by_model(figures.ledger) if each.cost]
    if discarded.cost:
        spent.append(("unusable answers", "", discarded.cost))
    if currency is None or len(spent) < 2:
        return
    rows: list[Row] = [{"model": model, "lane": lane or " ", currency: float(cost)} for model, lane, cost in spent]

    several = len({lane for _, lane, _ in spent if lane}) > 1
    title = "Cost by model and lane" if several else "Cost by model"
    svg = (
        charts.stacked(rows, x=currency, y="model", series="lane", title=title)
        if several
        else charts.bars(rows, x=currency, y="model", title=title)
    )

    dearest = max(spent, key=lambda each: each[2])
    told = f"{dearest[0]} cost most: {text.money(dearest[2], currency)}."
    table = tuple((model, lane, text.money(cost, currency)) for model, lane, cost in spent)
    yield Picture("cost", title, told, svg, ("model", "lane", "cost"), table)


def _cost_by_day(figures: RunFigures) -> Iterator[Picture]:
    currency = figures.totals.currency
    lines = [line for line in figures.ledger.rows if line.key.day is not None and line.known_cost]
    if currency is None or len({line.key.day for line in lines}) < 2:
        return

    sums: dict[tuple[str, str], Decimal] = {}
    for line in lines:
        key = (str(line.key.day), line.key.model or "")
        sums[key] = sum_known((sums.get(key), line.known_cost))
    rows: list[Row] = [{"day": day, "model": model, currency: float(cost)} for (day, model), cost in sums.items()]

    title = "Cost by day (UTC)"
    svg = charts.stacked(rows, x=currency, y="day", series="model", title=title)
    days = sorted({day for day, _ in sums})
    told = f"Money was spent on {len(days)} days, from {days[0]} to {days[-1]}."
    table = tuple((day, model, text.money(cost, currency)) for (day, model), cost in sums.items())
    yield Picture("cost", title, told, svg, ("day", "model", "cost"), table)


def _throughput(figures: RunFigures) -> Iterator[Picture]:
    moments = _filled(figures.pace)
    if len(moments) < LEAST_MOMENTS:
        return
    rate, title = "documents a second", "Throughput"
    rows: list[Row] = [{"time": _at(each), "what": "answered", rate: each.ok / each.seconds} for each in moments]
    if figures.totals.failed:
        failed = ((each, each.rows - each.ok) for each in moments)
        rows += [{"time": _at(each), "what": "failed", rate: count / each.seconds} for each, count in failed]

    most = max(moments, key=lambda each: each.rows)
    told = f"At most {text.rate(most.rows / most.seconds)} documents a second, over {text.duration(most.seconds)}."
    table = tuple(
        (_clock(each), text.count(each.ok), text.count(each.rows - each.ok), text.rate(each.tokens / each.seconds))
        for each in _thinned(moments)
    )
    svg = charts.over_time(rows, x="time", y=rate, series="what", title=title, area=True)
    yield Picture("speed", title, told, svg, ("time (UTC)", "answered", "failed", "tokens/s"), table)


def _latency_over_time(figures: RunFigures) -> Iterator[Picture]:
    moments = _filled(figures.pace)
    if len(moments) < LEAST_MOMENTS or not figures.pace.latency:
        return
    seconds, title = "seconds", "Latency over time"
    shares = (("p95", 0.95), ("median", 0.5))
    rows: list[Row] = [
        {"time": _at(each), "share": name, seconds: _in_seconds(percentile(each.latency, share, LATENCY_STEPS))}
        for name, share in shares
        for each in moments
    ]

    told = f"Last attempts of answered documents: {_quantiles(figures.pace.latency)}."
    table = tuple(
        (_clock(each), *(_duration(percentile(each.latency, share, LATENCY_STEPS)) for share in (0.5, 0.95)))
        for each in _thinned(moments)
    )
    svg = charts.over_time(rows, x="time", y=seconds, series="share", title=title)
    yield Picture("speed", title, told, svg, ("time (UTC)", "median", "p95"), table)


def _latency_spread(figures: RunFigures) -> Iterator[Picture]:
    by = figures.pace.latency_by_model
    if not by:
        return

    spreads = dict(by) if len(by) <= MOST_SERIES else {"all models": figures.pace.latency}
    rows = [
        {"from": edge(step, LATENCY_STEPS) / 1000, "to": edge(step + 1, LATENCY_STEPS) / 1000, "documents": count,
         "model": name}
        for name, spread in spreads.items()
        for step, count in sorted(spread.items())
    ]  # fmt: skip

    title = "How long answers took"
    svg = charts.histogram(
        rows, low="from", high="to", y="documents", title=title, x_title="seconds (logarithmic)", series="model"
    )
    table = tuple(
        (name, *(_duration(percentile(spread, share, LATENCY_STEPS)) for share in (0.5, 0.95, 0.99)))
        for name, spread in spreads.items()
    )
    told = f"Of all answered documents: {_quantiles(figures.pace.latency)}."
    yield Picture("speed", title, told, svg, ("model", "median", "p95", "p99"), table)


def _retries(figures: RunFigures) -> Iterator[Picture]:
    moments = _filled(figures.pace)
    retries = sum(each.retries for each in moments)
    if not retries or len(moments) < LEAST_MOMENTS:
        return
    rate, title = "retries a second", "Retries"
    rows: list[Row] = [{"time": _at(each), "what": "retries", rate: each.retries / each.seconds} for each in moments]
    told = f"{text.count(retries)} in all, shown when their document ended."
    table = tuple((_clock(each), text.count(each.retries)) for each in _thinned(moments))
    svg = charts.over_time(rows, x="time", y=rate, series="what", title=title, area=True)
    yield Picture("trouble", title, told, svg, ("time (UTC)", "retries"), table)


def _errors(figures: RunFigures) -> Iterator[Picture]:
    by_kind = figures.totals.failed_by_kind
    if len(by_kind) < 2:
        return
    rows: list[Row] = [{"kind": kind, "documents": count} for kind, count in by_kind.items()]
    title = "Failed documents by kind"
    first = next(iter(by_kind))
    told = f"{first} is the commonest, with {text.counted(by_kind[first], 'document')}."
    table = tuple((kind, text.count(count)) for kind, count in by_kind.items())
    svg = charts.bars(rows, x="documents", y="kind", title=title)
    yield Picture("trouble", title, told, svg, ("kind", "documents"), table)


def _lengths(figures: RunFigures) -> Iterator[Picture]:
    pace = figures.pace
    for name, spread in (("Input", pace.input_tokens), ("Output", pace.output_tokens)):
        if not spread:
            continue
        rows: list[Row] = [
            {"from": edge(step, LENGTH_STEPS), "to": edge(step + 1, LENGTH_STEPS), "documents": count}
            for step, count in sorted(spread.items())
        ]

        title = f"{name} tokens per document"
        svg = charts.histogram(
            rows, low="from", high="to", y="documents", title=title, x_title="tokens (logarithmic)"
        )
        middle, most = (percentile(spread, share, LENGTH_STEPS) or 0 for share in (0.5, 0.95))
        told = f"Half of the documents have about {middle:,.0f} or fewer, 95% about {most:,.0f} or fewer."
        table = tuple(
            (f"{edge(step, LENGTH_STEPS):,.0f} to {edge(step + 1, LENGTH_STEPS):,.0f}", text.count(count))
            for step, count in sorted(spread.items())
        )
        yield Picture("tokens", title, told, svg, ("tokens", "documents"), table)


_DRAWN: tuple[Callable[[RunFigures], Iterator[Picture]], ...] = (
    _cost_by_model,
    _cost_by_day,
    _throughput,
    _latency_over_time,
    _latency_spread,
    _errors,
    _retries,
    _lengths,
)


def _filled(pace: Pace) -> list[Moment]:
    """The moments with those in which nothing ended, of which there are as many as bins at most."""
    filled: list[Moment] = []
    for moment in pace.moments:
        while filled and filled[-1].start + timedelta(seconds=moment.seconds) < moment.start:
            start = filled[-1].start + timedelta(seconds=moment.seconds)
            filled.append(Moment(start, moment.seconds, 0, 0, 0, 0, 0.0, {}))
        filled.append(moment)
    return filled


def _thinned(moments: Sequence[Moment]) -> list[Moment]:
    """Every nth moment: few enough for a table."""
    return list(moments[:: -(-len(moments) // _TABLE_ROWS)])


def _at(moment: Moment) -> str:
    return moment.start.isoformat()


def _clock(moment: Moment) -> str:
    return moment.start.strftime("%Y-%m-%d %H:%M:%S")


def _in_seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _duration(milliseconds: float | None) -> str:
    return "–" if milliseconds is None else text.duration(milliseconds / 1000)


def _quantiles(spread: Spread) -> str:
    values = [_duration(percentile(spread, share, LATENCY_STEPS)) for share in (0.5, 0.95, 0.99)]
    return f"half within {values[0]}, 95% within {values[1]}, 99% within {values[2]}"
