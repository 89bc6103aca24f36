"""Turns an outcome into a priced row: what the answer cost, and what else may have been billed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from decimal import Decimal

from prefect_llm.budget.reservation import most_cost
from prefect_llm.pricing import Charge, cache_saving, charge_for, terms_of
from prefect_llm.store import JournalEntry, ResultRow
from prefect_llm.system import telemetry
from prefect_llm.values.errors import BadDocument
from prefect_llm.values.money import MONEY, ZERO
from prefect_llm.values.outcome import UNTOLD, DiscardedAnswer, Failure, Outcome, Usage
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request


def priced_entry(
    request: Request, outcome: Outcome, provider: Provider, charges: Sequence[Charge] = ()
) -> JournalEntry:
    """The row of a request that has ended, at the prices of the route that answered. Any thread; writes nothing.

    `request` is as that route was asked it. `charges` are what a budget has settled its answers at: only an answer
    without one is priced here.
    """
    model, asked = request.parameters.model, provider.routes[outcome.route]
    charge = _charge(request, outcome, provider, charges)
    row = ResultRow(
        request.document_id, request.fingerprint, model, outcome, charge.cost, charge.price, provider=asked.name
    )

    discarded = tuple(_discarded_cost(each, request, outcome, provider, charges) for each in outcome.discarded)
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
    """Add the cost of the row and its discarded answers to the process's telemetry, if it is set up."""
    row = entry.row
    if row.price is None or (recorder := telemetry.recorder()) is None:
        return
    for amount in (row.cost, *entry.discarded_costs):
        if amount:
            recorder.cost(row.provider or "", row.requested_model or "", amount, row.price.currency)


def cache_saved(entries: Iterable[JournalEntry]) -> Decimal:
    """How much more the rows' cached input would have cost at the full price."""
    saved = ZERO
    for entry in entries:
        answer = entry.row.outcome.completion
        if answer is not None and answer.usage is not None and answer.usage.cached_input_tokens:
            saved = MONEY.add(saved, cache_saving(answer.usage, entry.row.price))
    return saved


def _charge(request: Request, outcome: Outcome, provider: Provider, charges: Sequence[Charge]) -> Charge:
    """What the answer costs; without an answer, only the price, and the endpoint's time if that is paid for."""
    answer = outcome.completion
    if answer is not None and (settled := _settled(charges, answer.usage)) is not None:
        return settled

    return charge_for(
        provider.routes[outcome.route],
        request.parameters.model,
        None if answer is None else answer.usage,
        answered=None if answer is None else answer.model,
        service=UNTOLD if answer is None else answer.service,
        at_us=outcome.finished_at_us,
        terms=terms_of(request.parameters.model, request.parameters.extra),
        endpoint_s=outcome.endpoint_s,
    )


def _discarded_cost(
    answer: DiscardedAnswer, request: Request, outcome: Outcome, provider: Provider, charges: Sequence[Charge]
) -> Decimal | None:
    if (settled := _settled(charges, answer.usage)) is not None:
        return settled.cost

    return charge_for(
        provider.routes[answer.route],
        answer.model,
        answer.usage,
        answered=answer.answered,
        service=answer.service,
        at_us=outcome.finished_at_us,
        terms=terms_of(answer.model, request.parameters.extra),
    ).cost


def _settled(charges: Sequence[Charge], usage: Usage | None) -> Charge | None:
    """The charge for exactly this answer: another may have equal usage at another price."""
    if usage is None:
        return None
    return next((charge for charge in charges if charge.usage is usage), None)


def _uncertain(request: Request, row: ResultRow, unread_discarded: int, provider: Provider) -> Decimal | None:
    """The most that attempts without readable usage may have cost; `None` if nothing bounds it."""
    outcome = row.outcome
    unread = outcome.lost + unread_discarded + (outcome.completion is not None and row.cost is None)
    return possibly_billed(request, unread, row.price, provider) if unread else ZERO


def possibly_billed(request: Request, times: int, price: Price | None, provider: Provider) -> Decimal | None:
    """The most that so many attempts at the request may have cost; `None` if nothing bounds it."""
    if price is None:
        return None
    if price.is_of_time:
        return ZERO
    try:
        return times * most_cost(provider, request)
    except BadDocument:
        return None
