"""The report as one HTML page that needs nothing else: no network, no script, light and dark, on paper too.

Messages come from endpoints and are not trusted: everything is escaped, and the page's own policy loads nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from prefect_llm.report.figures.folding import RunFigures
from prefect_llm.report.figures.ledger import EstimatedUse, LedgerLine
from prefect_llm.report.figures.models import ModelUse
from prefect_llm.report.figures.summary import Summary
from prefect_llm.report.figures.totals import Totals
from prefect_llm.report.pages import sentences
from prefect_llm.report.pages.drawing import Picture, pictures
from prefect_llm.store.manifest import Manifest
from prefect_llm.values import formatting as text
from prefect_llm.values.tally import RequestTally

_TEMPLATES = Path(__file__).parent / "templates"
_CODE = re.compile(r"`([^`]+)`")
_IDS = re.compile(r'(\bid="|url\(#)')
NO_BREAK = "\N{NO-BREAK SPACE}"
MOST_LINES = 200
"""Of the ledger on the page; all of them are in `ledger.json`."""


def to_html(summary: Summary, figures: RunFigures, manifest: Manifest) -> str:
    """The page. Needs the extra `report`."""
    drawn = [(number, picture, Markup(_svg(picture, number))) for number, picture in enumerate(pictures(figures))]

    totals, lines = summary.totals, figures.ledger.lines
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            summary=summary,
            totals=totals,
            manifest=manifest,
            state=sentences.STATE_WORDS[summary.state],
            pictures=drawn,
            tiles=_tiles(summary),
            models=[_model_row(each) for each in summary.models_used],
            tokens=sentences.token_rows(totals),
            failures=_failure_rows(totals),
            times=_time_rows(totals),
            work=_work_sentence(totals.chunk_stats.requests),
            saved=_saved(summary, figures),
            lines=[_ledger_row(line, totals.currency) for line in lines[:MOST_LINES]],
            all_lines=len(lines),
            known_cost=f"{text.plain_decimal(totals.known_cost)} {totals.currency or ''}".strip(),
            possibly_billed=_possibly_billed(summary),
            words=sentences,
        )
    )


def _possibly_billed(summary: Summary) -> str | None:
    if summary.cost_uncertain is None:
        return "Attempts without an answer that can be counted may have been billed, too; how much is not known."
    if not summary.cost_uncertain:
        return None
    amount = text.money(summary.cost_uncertain, summary.totals.currency)
    return f"At most {amount} more may have been billed, for attempts that brought no answer that can be counted."


@lru_cache(maxsize=1)
def _environment() -> Environment:
    """The templates, compiled once and kept while the process lives: a run may be reported several times."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _with_code
    environment.filters["printable"] = text.printable
    return environment


def _with_code(sentence: str) -> Markup:
    """What stands in backquotes as code, the rest as it is."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text.printable(sentence)))))


def _svg(picture: Picture, number: int) -> str:
    """Names inside a drawing are its own: two on a page must not clip by each other's."""
    return _IDS.sub(rf"\g<1>p{number}-", picture.svg)


def _tiles(summary: Summary) -> list[tuple[str, str, str]]:
    """The figures at the top: name, figure, and what to know with it."""
    totals = summary.totals
    done = totals.ok + totals.failed
    pending = f", {text.count(totals.pending)} pending" if totals.pending > 0 else ""
    tiles = [("Answered", text.count(totals.ok), f"{text.share(totals.ok, done)} of {text.count(done)}{pending}")]
    tiles.append(("Failed", text.count(totals.failed), text.share(totals.failed, done)))
    if totals.cost is not None and totals.currency is not None:
        per = text.money(round(totals.cost * 1000 / totals.asked, 6), totals.currency) if totals.asked else ""
        tiles.append(("Cost", text.money(totals.cost, totals.currency), f"{per} per 1,000 asked" if per else ""))
    else:
        tiles.append(("Cost", "unknown" if totals.cost is None else "nothing", sentences.cost(summary)))

    rate = summary.rows_per_second
    if rate is not None:
        tiles.append(("Speed", f"{text.rate(rate)}/s", f"documents, {_unbroken(summary.seconds)} in all"))
    if totals.latency is not None:
        tail = f"median; 95% within{NO_BREAK}{_unbroken(totals.latency.p95_ms / 1000)}"
        tiles.append(("Latency", text.duration(totals.latency.p50_ms / 1000), tail))

    tokens = totals.tokens
    split = f"{text.count(tokens.input_tokens)}{NO_BREAK}in, {text.count(tokens.output_tokens)}{NO_BREAK}out"
    tiles.append(("Tokens", text.count(tokens.total), split))
    return tiles


def _unbroken(seconds: float) -> str:
    """A duration on one line."""
    return text.duration(seconds).replace(" ", NO_BREAK)


def _model_row(model: ModelUse) -> tuple[str, ...]:
    per = model.per_document
    return (
        model.model,
        model.provider,
        model.lane or "–",
        text.count(model.rows.total),
        text.count(model.failed),
        text.count(model.tokens.input_tokens),
        text.count(model.tokens.output_tokens),
        sentences.cost_of(model),
        "–" if per is None else text.money(round(per * 1000, 6), model.currency),
    )


def _ledger_row(line: LedgerLine, currency: str | None) -> tuple[str, ...]:
    named = "rows" if line.entry == "rows" else "unusable answers"
    cost = (
        "unknown" if line.cost is None else f"{text.plain_decimal(line.cost)} {line.key.currency or currency or ''}"
    )
    return (
        "–" if line.key.day is None else line.key.day.isoformat(),
        line.key.model or "–",
        line.key.lane or "–",
        line.key.price_source or "–",
        "reused rows" if line.rows.reused == line.rows.total else named,
        text.count(line.rows.total),
        text.count(line.tokens.input_tokens),
        text.count(line.tokens.output_tokens),
        cost.strip(),
    )


def _failure_rows(totals: Totals) -> list[tuple[str, ...]]:
    by_kind = totals.failed_by_kind
    return [
        (each.kind, text.count(by_kind[each.kind]), sentences.example_of(each, by_kind[each.kind]))
        for each in totals.failure_examples
    ]


def _time_rows(totals: Totals) -> list[tuple[str, ...]]:
    measured = (("last attempt", totals.latency), ("waiting for limits and retries", totals.queued))
    return [(name, *sentences.times(times)) for name, times in measured if times is not None]


def _work_sentence(requests: RequestTally) -> str:
    """Of every invocation whose chunks are finished."""
    retries, throttled = requests.retries, requests.throttled
    lost = f", {text.counted(requests.lost, 'attempt')} without an answer" if requests.lost else ""
    return (
        f"{text.counted(requests.sent, 'request')} for the rows, {text.count(retries)} of them retries "
        f"({text.share(retries, requests.sent)}); {text.counted(throttled, 'answer')} "
        f"{'was' if throttled == 1 else 'were'} 429 ({text.share(throttled, requests.sent)}){lost}."
    )


def _saved(summary: Summary, figures: RunFigures) -> list[tuple[str, str, str]]:
    """What was not paid, by whom it was spared, and how sure that is."""
    ledger, currency = figures.ledger, summary.totals.currency
    rows = []
    if ledger.reused is not None:
        rows.append(
            (
                f"{text.counted(ledger.reused.rows, 'answer')} reused: from earlier runs, or asked once for "
                "several documents",
                _worth(ledger.reused, currency),
                f"estimated by {ledger.reused.basis}",
            )
        )

    if ledger.cached_input_tokens:
        worth = text.money(ledger.cache_saved, currency) if ledger.cache_saved else "–"
        basis = "exact, against the price of uncached input"
        known = ledger.cache_saved or summary.totals.cost
        rows.append(
            (
                f"{text.count(ledger.cached_input_tokens)} input tokens read from the provider's cache",
                worth,
                basis if known else "without a price of cached input it cannot be told",
            )
        )
    return rows


def _worth(saved: EstimatedUse, currency: str | None) -> str:
    if saved.cost is not None:
        return f"about {text.money(round(saved.cost, 6), currency)}"
    tokens = (saved.input_tokens or 0) + (saved.output_tokens or 0)
    return f"about {text.count(tokens)} tokens" if tokens else "unknown"
