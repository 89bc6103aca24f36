"""What a summary says in words: the same sentences in the terminal, the report and Prefect's artifacts."""

from __future__ import annotations

from prefect_llm.pricing import provenance
from prefect_llm.report.figures.endings import Endings
from prefect_llm.report.figures.failures import FailureExample
from prefect_llm.report.figures.models import ModelUse
from prefect_llm.report.figures.summary import Summary
from prefect_llm.report.figures.totals import Times, Totals
from prefect_llm.values import formatting as text
from prefect_llm.values.errors import RunError, run_error

STATE_WORDS = {
    "running": "Running",
    "completed": "Completed",
    "stopped": "Stopped early",
    "failed": "Failed",
    "interrupted": "Interrupted",
}
MOST_WORDS = 5
"""Of unknown finish reasons: enough to see what an endpoint calls them."""
_RESUMABLE = frozenset({"running", "stopped", "failed", "interrupted"})


def headline(summary: Summary) -> str:
    """The one sentence to read if no other is: how many answers, how many not, for how much, how fast."""
    totals = summary.totals
    again = summary.state == "completed" and totals.asked > 0 and not summary.requests
    state, answered = ("Nothing to ask", "already answered") if again else (STATE_WORDS[summary.state], "answered")
    parts = [f"{text.count(totals.ok)} of {text.counted(totals.rows, 'document')} {answered}"]
    if totals.failed:
        parts.append(f"{text.count(totals.failed)} failed")
    if totals.pending > 0:
        parts.append(f"{text.count(totals.pending)} pending")

    spent = totals.cost if totals.currency else None
    price = f" for {text.money(spent, totals.currency)}" if spent is not None else ""
    partly = _went_on(summary)
    if price and (again or partly):
        price += " in all"
    pace = f" in {text.duration(summary.seconds)}" if summary.asked > 0 and not partly else ""
    comma = "," if (len(parts) > 1 or again or partly) and (price or pace) else ""
    return f"{state}: {', '.join(parts)}{comma}{price}{pace}{_of_this_attempt(summary) if partly else ''}."


def _went_on(summary: Summary) -> bool:
    """Whether others asked some of the rows before this invocation asked some: the time is of these alone."""
    return 0 < summary.asked < summary.totals.asked


def _of_this_attempt(summary: Summary) -> str:
    return f"; {text.count(summary.asked)} of them asked now, in {text.duration(summary.seconds)}"


def what_next(summary: Summary) -> str | None:
    """Why the run ended early and how it goes on; `None` if there is nothing more to do."""
    if summary.stopped is not None:
        kind, message = summary.stopped.kind, summary.stopped.message
        return f"{kind}: {message.rstrip('.')}. {run_error(kind, message).goes_on}".rstrip()
    if summary.state in _RESUMABLE and summary.totals.pending > 0:
        return RunError.goes_on
    return None


def main_cause(summary: Summary) -> str | None:
    """The sentence that explains most of the failures: `37 of 41 failures: server_error 503: overloaded`."""
    example = summary.totals.top_failure
    if example is None:
        return None
    noun = "failure" if summary.totals.failed == 1 else "failures"
    return f"{text.count(example.count)} of {text.count(summary.totals.failed)} {noun}: {example.cause}"


def example_of(example: FailureExample, of_kind: int) -> str:
    """A kind's commonest message, and how many of its rows have it if not all."""
    times = "" if example.count >= of_kind else f" ({text.count(example.count)} times)"
    return f"{example.cause.removeprefix(example.kind).removeprefix(':').strip()}{times}"


def cost(summary: Summary) -> str:
    """The money spent; where it is not known, why not and how to know it next time. Never 0 for unknown."""
    totals = summary.totals
    discarded = totals.chunk_stats.discarded
    if totals.cost == 0 and totals.currency is None:
        uncertain = _uncertain(summary)
        return "; ".join(["nothing is known to have been billed", *uncertain]) if uncertain else "nothing was billed"
    if len(totals.prices.currencies) > 1:
        return f"in several currencies ({', '.join(totals.prices.currencies)}): not added up"
    if totals.cost is None:
        return "; ".join([*_at_least(summary), *_unknown_costs(summary), *_uncertain(summary)])

    spent = text.money(totals.cost, totals.currency)
    if discarded.attempts and discarded.cost is not None:
        wasted = text.money(discarded.cost, totals.currency)
        spent += f", including {wasted} for {text.counted(discarded.attempts, 'unusable answer')}"
    return "; ".join([spent, *_uncertain(summary)])


def spent(summary: Summary) -> str:
    """The money alone, where all of it is known; else what `cost` says."""
    totals = summary.totals
    return text.money(totals.cost, totals.currency) if totals.cost and totals.currency else cost(summary)


def _uncertain(summary: Summary) -> list[str]:
    """What may have been billed in addition: attempts without an answer, and what a killed process had asked."""
    lost, most = summary.totals.chunk_stats.requests.lost, summary.cost_uncertain
    if most:
        return [
            f"at most {text.money(most, summary.totals.currency)} more, as far as the endpoint billed lost requests"
        ]
    if lost and most is None:
        return [f"{text.counted(lost, 'lost request')} may have been billed in addition"]
    return []


def cost_of(model: ModelUse) -> str:
    """What a model's rows cost, or that it is not known."""
    if model.cost is None:
        return "unknown"
    return text.money(model.cost, model.currency) if model.cost or model.currency else "–"


def _at_least(summary: Summary) -> list[str]:
    known = summary.totals.known_cost
    return [f"at least {text.money(known, summary.totals.currency)}"] if known else []


def _unknown_costs(summary: Summary) -> list[str]:
    totals = summary.totals
    reasons = []
    if totals.prices.unpriced:
        reason = f"unknown price: {text.counted(totals.prices.unpriced, 'billed row')} without one"
        # where other rows have one it was given, or is known for other models only
        told = "" if totals.prices.sources else "; state it in the block, or give price_input and price_output"
        reasons.append(f"{reason}{told}")

    if totals.prices.unmetered:
        reasons.append(
            f"unknown usage: {text.counted(totals.prices.unmetered, 'answer')} came without token counts that add up"
        )
    if totals.chunk_stats.discarded.cost is None and not reasons:
        unusable = text.counted(totals.chunk_stats.discarded.attempts, "unusable answer")
        reasons.append(f"unknown cost of {unusable}")
    return reasons


def prices(summary: Summary) -> str | None:
    """Where the prices come from, and how many rows have none; `None` where none was needed."""
    totals = summary.totals
    sources = ", ".join(provenance(source) for source in totals.prices.sources)
    if sources and totals.prices.unpriced:
        return f"{sources}; none for {text.counted(totals.prices.unpriced, 'billed row')}"
    return sources or None


TOKEN_HEADER = ("input", "of which cached", "of which written to a cache", "output", "of which reasoning")


def tokens(summary: Summary) -> str:
    """Tokens in and out, with what they include."""
    counts = summary.totals.tokens
    written = f", {text.count(counts.cache_write_tokens)} written to a cache" if counts.cache_write_tokens else ""
    return (
        f"{text.count(counts.input_tokens)} in ({text.count(counts.cached_input_tokens)} cached{written}), "
        f"{text.count(counts.output_tokens)} out ({text.count(counts.reasoning_tokens)} reasoning)"
    )


def token_rows(totals: Totals) -> list[tuple[str, ...]]:
    """The rows of the table of tokens, under `TOKEN_HEADER`: of the results, and of answers that had no use."""
    discarded = totals.chunk_stats.discarded
    counted = [("in the results", totals.tokens)]
    counted += [("unusable answers", discarded.tokens)] if discarded.attempts else []
    return [(name, *map(text.count, counts.by_name().values())) for name, counts in counted]


def times(measured: Times) -> list[str]:
    """Mean, p50, p95 and p99 with their units."""
    figures = (measured.mean_ms, measured.p50_ms, measured.p95_ms, measured.p99_ms)
    return [text.duration(figure / 1000) for figure in figures]


def work(summary: Summary) -> str:
    """What this invocation sent, and that it was this one where earlier ones have asked too."""
    return (
        f"{text.counted(summary.requests, 'request')} in {text.duration(summary.seconds)}, "
        f"{text.count(summary.retries)} of them retries, {text.count(summary.throttled)} throttled"
        f"{_this_time(summary)}"
    )


def throughput(summary: Summary) -> str | None:
    """Documents and tokens per second of this invocation; `None` if it asked nothing."""
    rows, token_rate = summary.rows_per_second, summary.tokens_per_second
    if rows is None:
        return None
    of_tokens = "" if not token_rate else f", {text.rate(token_rate)} tokens/s"
    return f"{text.rate(rows)} documents/s{of_tokens}{_this_time(summary)}"


def _this_time(summary: Summary) -> str:
    return " (this time)" if _went_on(summary) else ""


def table_rows(summary: Summary) -> list[tuple[str, str]]:
    """Every figure as a name and its text: the terminal's lines and the rows of a table artifact."""
    totals = summary.totals
    lines: list[tuple[str, str | None]] = [
        ("answered", f"{text.count(totals.ok)} ({text.share(totals.ok, totals.rows)})"),
        ("failed", text.count(totals.failed) if totals.failed else None),
        *((f"  {kind}", text.count(number)) for kind, number in totals.failed_by_kind.items()),
        ("pending", text.count(totals.pending) if totals.pending > 0 else None),
        ("reused", text.count(totals.reused) if totals.reused else None),
        ("left out", summary.left_out),
        *endings(summary.endings),
        ("model", ", ".join(totals.models) or None),
        ("tokens", tokens(summary)),
        ("cost", cost(summary)),
        ("prices", prices(summary)),
        ("latency", _times_line(totals.latency)),
        ("waiting", _times_line(totals.queued)),
        ("requests", work(summary)),
        ("throughput", throughput(summary)),
        ("results", results_url(summary)),
    ]
    return [(name, value) for name, value in lines if value is not None]


def endings(ends: Endings) -> list[tuple[str, str]]:
    """What was cut and what would have held it, and the words for an end that are not known."""
    lines = []
    if ends.cut:
        lines.append(("cut", f"{cut_answers(ends)}; {needed_limit(ends)}"))
    if ends.context_full:
        lines.append(("context full", f"{text.counted(ends.context_full, 'answer')} ended where the context did"))
    if ends.unknown:
        words = ", ".join(f"{word} {text.count(count)}" for word, count in [*ends.unknown.items()][:MOST_WORDS])
        more = f" and {len(ends.unknown) - MOST_WORDS} more" if len(ends.unknown) > MOST_WORDS else ""
        lines.append(("finish reasons", f"not known, taken as answered: {words}{more}"))
    return lines


def cut_answers(ends: Endings) -> str:
    """How many answers the output limit cut: `12 answers at the output limit of 100 tokens, 3 of them failed`."""
    limit = "" if ends.longest is None else f" of {text.counted(ends.longest, 'token')}"
    failed = f", {text.count(ends.cut_failed)} of them failed" if ends.cut_failed else ""
    return f"{text.counted(ends.cut, 'answer')} at the output limit{limit}{failed}"


def needed_limit(ends: Endings) -> str:
    """The limit that would have held them, as far as the other answers tell."""
    if ends.enough is not None:
        return f"max_output_tokens of about {text.count(ends.enough)} would have held all"
    above = "" if ends.longest is None else f" above {text.count(ends.longest)}"
    return f"they need max_output_tokens{above}; too few ended by themselves to tell how much"


def _times_line(measured: Times | None) -> str | None:
    if measured is None:
        return None
    named = zip(("mean", "p50", "p95", "p99"), times(measured), strict=True)
    return ", ".join(f"{name} {value}" for name, value in named)


def results_url(summary: Summary) -> str:
    """What a Parquet reader is given."""
    return f"{summary.output.rstrip('/')}/results"
