"""An estimate as people read it: a table on a terminal, a page for Prefect's artifact and its approval form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from prefect_llm.estimating.costing import Line
from prefect_llm.estimating.estimate import Estimate
from prefect_llm.estimating.intervals import Interval
from prefect_llm.estimating.sizes import LEAST_BYTES_PER_TOKEN, MOST_CHARACTERS_PER_TOKEN
from prefect_llm.report.pages.markdown import escaped
from prefect_llm.values.formatting import count, counted, duration, money, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

_UNKNOWN = "not known"
_DIGITS = 4
"""Significant ones of money: an estimate has no more."""
_COLUMNS = ("model", "lane", "cost")


def headline(estimate: Estimate) -> str:
    """`990 requests for 1,000 documents: $1.23 ($1.10 to $1.40)`."""
    said = f"{counted(estimate.requests, 'request')} for {counted(estimate.documents, 'document')}"
    return f"{said}: {cost_of(estimate.lines[0])}"


def cost_of(line: Line) -> str:
    """The interval in money."""
    if line.cost is None:
        return f"cost {_UNKNOWN}"
    return _interval(line.cost, lambda amount: money(Decimal(f"{amount:.{_DIGITS}g}"), line.currency))


def table_rows(estimate: Estimate) -> list[tuple[str, str]]:
    """Name and value of everything but the costs, and of the prices that they are made of."""
    spared = [
        (name, number)
        for name, number in (
            ("asked once for several", estimate.repeated),
            ("answered by earlier runs", estimate.reused),
            ("without a request", estimate.unaskable),
        )
        if number
    ]
    return [
        ("documents", count(estimate.documents)),
        *((f"  {name}", count(number)) for name, number in spared),
        ("requests", count(estimate.requests)),
        ("input tokens", _interval(estimate.input_tokens, _whole)),
        ("output tokens", _interval(estimate.output_tokens, _whole)),
        ("time", _UNKNOWN if estimate.seconds is None else _interval(estimate.seconds, duration)),
        *_prices(estimate),
    ]


def basis(estimate: Estimate) -> str:
    """Where the figures come from, in a sentence or two."""
    sample = estimate.sample
    if sample is None:
        said = (
            "Nothing was asked: input tokens by size of the text "
            f"({MOST_CHARACTERS_PER_TOKEN:g} characters to {LEAST_BYTES_PER_TOKEN:g} bytes a token), output from one "
            "token a request to the output limit. A sample, really asked, narrows this down."
        )
    else:
        failed = f", {counted(sample.failed, 'failure')} among them" if sample.failed else ""
        said = f"A random sample of {counted(sample.requests, 'request')} was asked (seed {sample.seed}{failed}): "
        said = said if sample.cost is None else f"{said[:-2]} for {money(sample.cost, estimate.lines[0].currency)}: "
        said += "95% intervals." if estimate.is_measured else "its answers came without tokens, so these are bounds."
        said += f" Its answers lie in {sample.output}, for runs to reuse."

    if estimate.others:
        said += f" {counted(estimate.others, 'request')} with more than text: only the text was counted."
    return said


def to_markdown(estimate: Estimate, preview_rows: int = 0) -> str:
    """The page, with up to `preview_rows` of the sample's questions and answers."""
    paragraphs = [
        "# Estimate",
        f"**{escaped(headline(estimate))}**",
        _table(_COLUMNS, [_cells(line) for line in estimate.lines]),
        _table(("figure", "value"), table_rows(estimate)),
        escaped(basis(estimate)),
    ]
    if estimate.sample is not None and preview_rows:
        rows = list(estimate.sample.preview[:preview_rows])
        paragraphs += ["## Preview", _table(("id", "asked", "answer"), rows)]
    return "\n\n".join(paragraphs) + "\n"


def to_rich(estimate: Estimate) -> RenderableType:
    """What rich prints; no markup is read from names."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    costs = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for name in _COLUMNS:
        costs.add_column(name, overflow="fold")
    for line in estimate.lines:
        costs.add_row(*(Text(printable(cell)) for cell in _cells(line)))
    more = Table.grid(padding=(0, 2))
    more.add_column(style="dim", no_wrap=True)
    more.add_column(overflow="fold")
    for name, value in table_rows(estimate):
        more.add_row(Text(name), Text(printable(value)))
    return Group(Text(headline(estimate), style="bold"), costs, more, Text(printable(basis(estimate)), style="dim"))


def _cells(line: Line) -> tuple[str, str, str]:
    return line.model, line.lane, cost_of(line)


def _prices(estimate: Estimate) -> list[tuple[str, str]]:
    """Where they come from, and of several which models they are of; in a column they would leave costs no room."""
    models: dict[str, dict[str, None]] = {}
    for line in estimate.lines:
        unknown = f"{_UNKNOWN}: {line.why_unknown}" if line.why_unknown else _UNKNOWN
        models.setdefault(line.price or unknown, {})[line.model] = None
    if len(models) == 1:
        return [("price", price) for price in models]
    return [("price", f"{price}: {', '.join(named)}") for price, named in models.items()]


def _interval(interval: Interval, shown: Callable[[float], str]) -> str:
    low, high = shown(interval.low), None if interval.high is None else shown(interval.high)
    if high == low:
        return low
    limits = f"at least {low}" if high is None else f"{low} to {high}"
    return limits if interval.expected is None else f"{shown(interval.expected)} ({limits})"


def _whole(number: float) -> str:
    return count(round(number))


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *(tuple(escaped(cell) for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
