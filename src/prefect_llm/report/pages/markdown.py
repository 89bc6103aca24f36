"""The summary as a page: `_run/report.md` and Prefect's markdown artifact.

Messages come from endpoints and are not trusted: they may not end a table cell, open a link or load an image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from prefect_llm.report.figures.summary import Summary
from prefect_llm.report.pages import sentences
from prefect_llm.values import formatting as text

_WORDS = ("", "kind", "most common message", "model", "provider", "lane", "id", "status", "answer")
_MARKUP = re.compile(r"([\\`*|<\[\]])")


def to_markdown(summary: Summary) -> str:
    """The whole report."""
    sections = (
        _opening(summary),
        _advice(summary),
        _rows(summary),
        _failures(summary),
        _tokens(summary),
        _cost(summary),
        _times(summary),
        ["## This invocation", *_invocation(summary)],
        _results(summary),
    )
    return "\n\n".join(paragraph for section in sections for paragraph in section) + "\n"


def to_cost_markdown(summary: Summary) -> str:
    """What the run directory cost, and for what: Prefect's artifact that shows it run after run."""
    totals = summary.totals
    rows = [("documents", text.count(totals.ok + totals.failed)), ("cost", escaped(sentences.cost(summary)))]
    if totals.cost and totals.asked:
        rows.append(("per 1,000 asked", text.money(totals.cost / totals.asked * 1000, totals.currency)))
    if summary.cost_uncertain is None or summary.cost_uncertain:
        rows.append(("may have been billed beyond it", _uncertain(summary)))
    if totals.reused:
        rows.append(("reused answers, at no cost", text.count(totals.reused)))
    sections = (["# Cost", _table(("", "of the whole run"), rows)], _cost(summary)[2:], _tokens(summary))
    return "\n\n".join(paragraph for section in sections for paragraph in section) + "\n"


def to_results_markdown(summary: Summary) -> str:
    """The first answers, where all results lie and how they are read, and where report and failed rows are."""
    output = summary.output.rstrip("/")
    places = [f"- report: {escaped(f'{output}/_run/report.md')}"]
    if summary.totals.failed:
        places.append(f"- failed rows: {escaped(f'{output}/_run/failed.csv')}")
    paragraphs = [f"**{sentences.headline(summary)}**", *_answers(summary), *_results(summary), "\n".join(places)]
    return "\n\n".join(paragraphs) + "\n"


def _uncertain(summary: Summary) -> str:
    if summary.cost_uncertain is None:
        return "not known"
    return text.money(summary.cost_uncertain, summary.totals.currency)


def _cost(summary: Summary) -> list[str]:
    prices = sentences.prices(summary)
    said = [] if prices is None else [escaped(f"Prices: {prices}")]
    return ["## Cost", escaped(sentences.cost(summary)), *_by_model(summary), *said]


def _by_model(summary: Summary) -> list[str]:
    """Only where there is more than the one line that the totals are."""
    if len(summary.models_used) < 2:
        return []
    header = ("model", "provider", "lane", "documents", "input tokens", "output tokens", "cost")
    rows = [
        (
            escaped(each.model),
            escaped(each.provider),
            each.lane,
            text.count(each.rows.total),
            text.count(each.tokens.input_tokens),
            text.count(each.tokens.output_tokens),
            sentences.cost_of(each),
        )
        for each in summary.models_used
    ]
    return [_table(header, rows)]


def _advice(summary: Summary) -> list[str]:
    if not summary.advice:
        return []
    return ["## Advice", "\n".join(f"- {each}" for each in summary.advice)]


def to_table(summary: Summary) -> list[dict[str, str]]:
    """The rows of Prefect's table artifact."""
    rows = [{"figure": name.strip(), "value": value} for name, value in sentences.table_rows(summary)]
    cause = sentences.main_cause(summary)
    return rows if cause is None else [*rows, {"figure": "main cause", "value": cause}]


def escaped(message: str) -> str:
    """Text on one line that Markdown shows as it is, in a table cell too."""
    return _MARKUP.sub(r"\\\1", text.printable(message))


def _opening(summary: Summary) -> list[str]:
    models = escaped(", ".join(summary.models))
    title = f"# LLM batch with {models}" if models else "# LLM batch"
    more = [sentences.what_next(summary), sentences.main_cause(summary)]
    return [title, f"**{sentences.headline(summary)}**", *(escaped(line) for line in more if line)]


def _rows(summary: Summary) -> list[str]:
    totals = summary.totals
    figures = [("answered", totals.ok), ("failed", totals.failed), ("pending", totals.pending)]
    table = [(name, text.count(number), text.share(number, totals.rows)) for name, number in figures]
    if totals.reused:
        table.append(("reused, of those answered", text.count(totals.reused), ""))
    left_out = [] if summary.left_out is None else [escaped(f"Left out of the input: {summary.left_out}.")]
    ends = [escaped(f"{name.capitalize()}: {told}.") for name, told in sentences.endings(summary.endings)]
    return ["## Documents", _table(("", "documents", "share"), table), *left_out, *ends]


def _failures(summary: Summary) -> list[str]:
    by_kind = summary.totals.failed_by_kind
    if not by_kind:
        return []
    rows = [
        (
            f"`{example.kind}`",
            text.count(by_kind[example.kind]),
            escaped(sentences.example_of(example, by_kind[example.kind])),
        )
        for example in summary.totals.failure_examples
    ]
    return ["## Failures", _table(("kind", "documents", "most common message"), rows)]


def _tokens(summary: Summary) -> list[str]:
    return ["## Tokens", _table(("", *sentences.TOKEN_HEADER), sentences.token_rows(summary.totals))]


def _times(summary: Summary) -> list[str]:
    totals = summary.totals
    measured = (("last attempt", totals.latency), ("waiting for limits and retries", totals.queued))
    rows = [(name, *sentences.times(figures)) for name, figures in measured if figures is not None]
    if not rows:
        return []
    return ["## Time per answered document", _table(("", "mean", "p50", "p95", "p99"), rows)]


def _invocation(summary: Summary) -> list[str]:
    pace = sentences.throughput(summary)
    return [f"{sentences.work(summary)}." + (f" {pace}." if pace else "")]


def _results(summary: Summary) -> list[str]:
    results = sentences.results_url(summary)
    files = f"{results}/*.parquet".replace("'", "''")
    page = [] if summary.page is None else [f"The same with charts: {escaped(summary.page)}"]
    return [
        "## Results",
        f"One Parquet row per document in {escaped(results)}; in DuckDB:",
        f"```sql\nSELECT id, status, content, error_message FROM '{files}' LIMIT 20;\n```",
        *page,
    ]


def _answers(summary: Summary) -> list[str]:
    if not summary.first_rows:
        return []
    rows = [tuple(escaped(cell) for cell in row) for row in summary.first_rows]
    return ["## First answers", _table(("id", "status", "answer"), rows)]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The first column is words, the others align as figures do, except where a message is read."""
    rule = ["---" if name in _WORDS else "---:" for name in header]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))
