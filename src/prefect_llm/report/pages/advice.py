"""What a run's figures say to do next time, in plain words: a rule a function, with its limits stated.

Pure: it knows the run's directory and nothing of the settings, so it says what was seen before what to change.
Settings are named by their keys, which block, form and run.yaml have in common and flags are made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from prefect_llm.pricing import list_price, why_unknown
from prefect_llm.report.figures import models
from prefect_llm.report.figures.folding import RunFigures
from prefect_llm.report.figures.ledger import RunLedger, rows_of
from prefect_llm.report.figures.pace import LATENCY_STEPS, Moment, Pace, Spread, added, percentile
from prefect_llm.report.figures.totals import Totals
from prefect_llm.report.pages.sentences import cut_answers, needed_limit
from prefect_llm.values import formatting as text
from prefect_llm.values.provider import Provider

THROTTLED_SHARE = 0.02
"""Of the requests: above it the 429s cost more than the speed is worth."""
LOST_SHARE = 0.01
DISCARDED_SHARE = Decimal("0.02")
FLAT = 1.25
"""Latency of the second half over that of the first: up to here it did not grow."""
GREW = 1.5
ENOUGH_ROWS = 200
"""Fewer say nothing of speed."""
LONG_INPUT = 1_200
"""Tokens of a request from which providers cache a prompt's beginning (OpenAI: 1,024)."""
CACHED_SHARE = 0.05
_MAY_PASS = ("throttled", "timeout", "connection", "server_error")
_MAY_DIFFER = ("bad_response", "schema_mismatch", "truncated", "refused")
"""The same request may be answered another time: models sample. What is left needs other documents or settings."""

REDRIVE = "prefect-llm redrive DIR, or the flow redrive-failures"

_OF_KIND = {
    "context_too_long": "are longer than the model's context: shorten them, or name a model with a longer one as a "
    "fallback (`fallback`)",
    "truncated": "were cut by the output limit: raise `max_output_tokens`",
    "schema_mismatch": "did not fit the schema: say in the prompt what is wanted, or ease the schema",
    "bad_document": "could not be turned into a prompt, so nothing was sent: see `_run/failed.csv` for the field",
    "rejected": "were refused by the endpoint: see `_run/failed.csv` for its words",
    "content_filtered": "were stopped by the endpoint's content filter: another provider may answer them",
    "refused": "were declined by the model: another model may answer them",
}


def advise(figures: RunFigures) -> tuple[str, ...]:
    """Every rule that applies, speed first, then failures, then money. Text in backquotes is code."""
    return (*_speed(figures), *_failures(figures), *_money(figures))


def _speed(figures: RunFigures) -> Iterator[str]:
    requests, pace = figures.totals.chunk_stats.requests, figures.pace
    if requests.sent and requests.throttled / requests.sent >= THROTTLED_SHARE:
        yield (
            f"{text.share(requests.throttled, requests.sent)} of {text.counted(requests.sent, 'request')} were "
            f"answered 429 (too many requests), with about {_requests(pace)} in flight. State the provider's limits "
            "(`requests_per_minute`, `tokens_per_minute`), or lower `concurrency`: then requests wait here and "
            "are not refused there."
        )
    elif figures.totals.asked >= ENOUGH_ROWS:
        yield from _of_capacity(figures)

    if requests.sent and requests.lost / requests.sent >= LOST_SHARE:
        yield (
            f"{text.counted(requests.lost, 'attempt')} of {text.count(requests.sent)} brought no answer (time ran "
            "out, or the connection was cut) and may have been billed all the same. Raise `timeout`, or lower "
            "`max_output_tokens` so that answers come sooner."
        )


def _of_capacity(figures: RunFigures) -> Iterator[str]:
    """No 429: either limits hold the run, or the endpoint was slower under load, or it had room."""
    pace, requests = figures.pace, figures.totals.chunk_stats.requests
    latency, queued = percentile(pace.latency, 0.5, LATENCY_STEPS), percentile(pace.queued, 0.5, LATENCY_STEPS)
    if not latency or queued is None:
        return

    grew = growth(pace)
    if queued > latency:
        yield (
            f"Half of the documents waited {text.duration(queued / 1000)} or more before their last attempt, which "
            f"took {text.duration(latency / 1000)}: stated limits, cooldowns or retries hold this run, not the "
            "endpoint's speed. If the provider grants more, raise `requests_per_minute` or `tokens_per_minute`."
        )
    elif grew is not None and grew >= GREW:
        yield (
            f"Latency grew {grew:.1f} times from the first half of the run to the second, with about "
            f"{_requests(pace)} in flight: the endpoint was past its capacity. Lower `concurrency`, or leave it to "
            "`auto`."
        )
    elif grew is not None and grew <= FLAT and not requests.throttled and requests.retries < 0.01 * requests.sent:
        yield (
            f"Latency stayed flat and nothing was throttled, with about {_requests(pace)} in flight: the "
            "endpoint may have room. Raise `concurrency` (with `auto`: `max_concurrency`) and compare the "
            "documents a second."
        )


def growth(pace: Pace) -> float | None:
    """Median latency of the later half of the answers over that of the earlier; `None` where one is missing."""
    total, seen = sum(pace.latency.values()), 0
    halves: tuple[list[Moment], list[Moment]] = ([], [])
    for moment in pace.moments:
        halves[seen >= total / 2].append(moment)
        seen += sum(moment.latency.values())
    first, second = (_median(added(moment.latency for moment in half)) for half in halves)
    return None if not first or second is None else second / first


def _failures(figures: RunFigures) -> Iterator[str]:
    by_kind = dict(figures.totals.failed_by_kind)
    if figures.endings.cut:
        by_kind.pop("truncated", None)
        yield f"{cut_answers(figures.endings)}; {needed_limit(figures.endings)}."
    again = sum(by_kind.get(kind, 0) for kind in _MAY_PASS)
    if again:
        yield (
            f"{text.counted(again, 'document')} failed for reasons that may pass (429, timeouts, connections, server "
            f"errors): a redrive ({REDRIVE}) asks them again, and only them."
        )
    for kind, count in by_kind.items():
        if kind in _OF_KIND:
            said = _OF_KIND[kind]
            said = said if count != 1 else _singular(said)
            yield f"{text.counted(count, 'document')} {said}."


def may_be_redriven(totals: Totals) -> str:
    """What may come of a redrive of the failed rows: which it mends, or what to change where it mends none."""
    by_kind = dict(totals.failed_by_kind)
    passing, differing = (sum(by_kind.get(kind, 0) for kind in kinds) for kinds in (_MAY_PASS, _MAY_DIFFER))
    if passing:
        return f"a redrive ({REDRIVE}) asks them again, and may mend {text.count(passing + differing)}"
    if differing:
        return f"a redrive ({REDRIVE}) asks them again; only {text.count(differing)} may then be answered"
    if any(kind != "bad_document" for kind in by_kind):
        return "the same model would fail alike; redrive with another, or mend the documents in a new output"
    return "a redrive would fail alike; mend the documents, in a new output"


def _singular(said: str) -> str:
    first, _, rest = said.partition(" ")
    return f"{ {'are': 'is', 'were': 'was'}.get(first, first) } {rest}"


def _money(figures: RunFigures) -> Iterator[str]:
    totals, ledger = figures.totals, figures.ledger
    discarded = totals.chunk_stats.discarded
    if discarded.cost and totals.known_cost and discarded.cost >= totals.known_cost * DISCARDED_SHARE:
        wasted, known = (text.money(_short(each), totals.currency) for each in (discarded.cost, totals.known_cost))
        yield (
            f"{text.counted(discarded.attempts, 'answer')} could not be used (empty, cut, not as the schema wants) "
            f"and cost {wasted} of {known}: their documents were asked again, or have failed. Try the prompt on a "
            "few documents (`limit`)."
        )

    if totals.prices.unpriced:
        yield (
            f"No price is known for {text.counted(totals.prices.unpriced, 'row')} with tokens{_looked_for(ledger)}: "
            "state it in the provider's block or by `price_input` and `price_output`, and the next run knows its "
            "cost."
        )

    if ledger.unmetered is not None:
        yield (
            f"{text.counted(ledger.unmetered.rows, 'answer')} came without token counts that add up, so their "
            "cost is not known: compare the provider's bill with the estimate in `_run/ledger.json`."
        )

    counted = rows_of(ledger.rows).metered
    tokens = totals.tokens
    long = counted >= ENOUGH_ROWS and tokens.input_tokens / counted >= LONG_INPUT
    if long and tokens.cached_input_tokens < CACHED_SHARE * tokens.input_tokens:
        yield (
            f"A request has {text.count(tokens.input_tokens // counted)} input tokens, and hardly any were read "
            "from the provider's cache: put what all documents share at the beginning of the prompt and the "
            "document last."
        )

    yield from _cheaper(figures)


def _looked_for(ledger: RunLedger) -> str:
    """In brackets, why the first of the rows without a price has none, as far as the list knows."""
    unpriced = (line.key for line in ledger.rows if line.rows.unpriced)
    key = next((each for each in unpriced if each.provider and each.model), None)
    if key is None or key.model is None:
        return ""
    provider = Provider(f"https://{key.provider}/v1")
    if list_price(provider.base_url, key.model) is not None:
        return f" (the list has {key.model!r}, but not the service tier, the searches or the audio of every answer)"
    return f" ({why_unknown(provider, key.model)})"


def _cheaper(figures: RunFigures) -> Iterator[str]:
    offered = models.offers(models.by_model(figures.ledger))
    if not offered:
        return
    first = offered[0]
    named = ", ".join(f"`{each.model}` {text.money(_short(each.cost), each.currency)}" for each in offered)
    source = "list prices" if all(each.listed for each in offered) else "this run's prices"
    if len({each.listed for each in offered}) == 2:
        source = "this run's and list prices"
    yield (
        f"`{first.instead_of}` cost {text.money(_short(first.paid), first.currency)}. The same tokens would have "
        f"cost, at {source}: {named}. Whether the answers are good enough, a trial tells (`limit`)."
    )


def _short(amount: Decimal) -> Decimal:
    """Three digits: an estimate has no more."""
    return amount if not amount else round(amount, 2 - amount.adjusted())


def _requests(pace: Pace) -> str:
    return text.counted(max(round(pace.in_flight), 1), "request")


def _median(spread: Spread) -> float | None:
    return percentile(spread, 0.5, LATENCY_STEPS)
