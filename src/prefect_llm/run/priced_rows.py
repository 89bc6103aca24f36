"""What came of a request as a row with its price: who answered, what it cost, and what else may have been billed."""

from __future__ import annotations

import time
from collections.abc import Iterable
from decimal import Decimal

from prefect_llm.budget.reservation import most_cost
from prefect_llm.pricing import cache_saving, cost, price_for, terms_of
from prefect_llm.store import JournalEntry, ResultRow
from prefect_llm.system import telemetry
from prefect_llm.values.errors import BadDocument
from prefect_llm.values.money import MONEY
from prefect_llm.values.outcome import Failure, Outcome
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request


def priced_entry(request: Request, outcome: Outcome, provider: Provider) -> JournalEntry:
    """The row of a request that has ended, at the prices of whoever of the provider and its fallbacks answered.

    `request` is as that one was asked it. Any thread; nothing is written.
    """
    routes = provider.routes
    model, asked = request.parameters.model, routes[outcome.route]
    answer, at_us = outcome.completion, outcome.finished_at_us
    terms = terms_of(request.parameters.extra)
    price = price_for(asked, model, answered=answer.model if answer is not None else None, at_us=at_us, terms=terms)
    usage = answer.usage if answer is not None else None
    row = ResultRow(
        request.document_id,
        request.fingerprint,
        model,
        outcome,
        cost(usage, price, outcome.endpoint_s),
        price,
        provider=asked.name,
    )
    discarded = tuple(
        cost(each.usage, price_for(routes[each.route], each.model, at_us=at_us, terms=terms))
        for each in outcome.discarded
    )
    return JournalEntry(request.row_index, row, discarded, _uncertain(request, row, discarded.count(None), provider))


def unasked_entry(
    row_index: int, id: str, error: BadDocument, model: str, provider: Provider, lane: str
) -> JournalEntry:
    """The failed row of a document that makes no request."""
    now_us = time.time_ns() // 1000
    failure = Failure(error.kind, error.message)
    outcome = Outcome(failure=failure, started_at_us=now_us, finished_at_us=now_us, lane=lane)
    return JournalEntry(row_index, ResultRow(id, None, model, outcome, None, None, provider=provider.name))


def record_cost(entry: JournalEntry) -> None:
    """Add what the row and its discarded answers cost to the process's telemetry, where there is any."""
    row = entry.row
    if row.price is None or (recorder := telemetry.recorder()) is None:
        return
    for amount in (row.cost, *entry.discarded_costs):
        if amount:
            recorder.cost(row.provider or "", row.requested_model or "", amount, row.price.currency)


def cache_saved(entries: Iterable[JournalEntry]) -> Decimal:
    """What the rows' cached input would have cost more, had it been read anew."""
    saved = Decimal(0)
    for entry in entries:
        answer = entry.row.outcome.completion
        if answer is not None and answer.usage is not None and answer.usage.cached_input_tokens:
            saved = MONEY.add(saved, cache_saving(answer.usage, entry.row.price))
    return saved


def _uncertain(request: Request, row: ResultRow, unread_discarded: int, provider: Provider) -> Decimal | None:
    """What attempts without usage that can be read may have cost at most; `None` where nothing bounds it."""
    outcome = row.outcome
    unread = outcome.lost + unread_discarded + (outcome.completion is not None and row.cost is None)
    if not unread or (row.price is not None and row.price.is_of_time):
        return Decimal(0)
    if row.price is None:
        return None
    try:
        return unread * most_cost(provider, request)
    except BadDocument:
        return None
