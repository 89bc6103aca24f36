"""The comparison as one HTML page that needs nothing else: the tables, and charts where the extra `report` is."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from decimal import Decimal

from prefect_llm.hosting.comparison import Comparison
from prefect_llm.hosting.markdown import to_markdown
from prefect_llm.report.pages import charts

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0 }
th, td { border-bottom: 1px solid #8886; padding: .3rem .7rem; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
svg { max-width: 100%; height: auto; margin: 1rem 0 }
"""


def to_html(comparison: Comparison) -> str:
    """The page. Without charts it says how to get them."""
    body = "\n".join(_blocks(to_markdown(comparison)))
    drawn = "\n".join(_charts(comparison)) if charts.charts_available() else _WITHOUT
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>API or own hosting</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n{drawn}\n</body></html>\n"
    )


_WITHOUT = "<p>Charts come with <code>pip install 'prefect-llm[report]'</code>.</p>"


def _charts(comparison: Comparison) -> Iterator[str]:
    currency = comparison.scenario.currency
    monthly = f"{currency} a month"
    rows = [{"model": model.name, monthly: float(model.cost.monthly)} for model in comparison.models]
    yield charts.bars(rows, x=monthly, y="model", title="The workload at each provider")
    if any(model.latency_ms is not None for model in comparison.models):
        late = [
            {"model": each.name, "ms": float(each.latency_ms)}
            for each in comparison.models
            if each.latency_ms is not None
        ]
        yield charts.bars(late, x="ms", y="model", title="Typical latency")

    yield charts.lines(
        list(_volumes(comparison, monthly)),
        x="tokens a month",
        y=monthly,
        series="what",
        title="Cost by volume",
        log=True,
    )
    meeting = [
        {"model": model.name, "least": float(span.low), "most tokens a month": float(span.high)}
        for model in comparison.models
        if (span := model.own.running) is not None and span.low
    ]
    if meeting:
        title = "Break-even with own hosting, running costs alone"
        yield charts.spans(meeting, low="least", high="most tokens a month", y="model", title=title, log=True)


def _volumes(comparison: Comparison, monthly: str) -> Iterator[dict[str, object]]:
    """Straight lines through the origin, and own hosting as two level ones."""
    volumes = [Decimal(10) ** exponent for exponent in range(5, 11)]
    for model in comparison.models:
        for volume in volumes:
            cost = model.cost.per_million_tokens * volume / 1_000_000
            if cost:
                yield {"what": model.name, "tokens a month": float(volume), monthly: float(cost)}
    own = None if comparison.own is None else comparison.own.total
    if own is not None and own.low:
        for word, amount in (("least", own.low), ("most", own.high)):
            for volume in volumes:
                yield {"what": f"own, {word}", "tokens a month": float(volume), monthly: float(amount)}


def _blocks(markdown: str) -> Iterator[str]:
    """The few forms that `to_markdown` makes, as HTML."""
    for block in markdown.strip().split("\n\n"):
        if block.startswith("#"):
            level, _, heading = block.partition(" ")
            yield f"<h{len(level)}>{_inline(heading)}</h{len(level)}>"
        elif block.startswith("|"):
            yield _html_table(block)
        else:
            yield f"<p>{_inline(block)}</p>"


def _html_table(block: str) -> str:
    head, _, *rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()]
    made = [_row(head, "th"), *(_row(row, "td") for row in rows)]
    return f"<table>{''.join(made)}</table>"


def _row(cells: list[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{_inline(cell.strip())}</{tag}>' for cell in cells)}</tr>"


def _inline(text: str) -> str:
    plain = html.escape(re.sub(r"\\(.)", r"\1", text))
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", plain)
