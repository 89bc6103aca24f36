"""One chunk on its way through the engine: a request per document out, a priced row per outcome in."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from decimal import Decimal

import pyarrow as pa

from prefect_llm.documents import StagedChunk
from prefect_llm.engine import ask
from prefect_llm.errors import BadDocument, RunError
from prefect_llm.live import Live
from prefect_llm.pricing import cost, price_for
from prefect_llm.prompts import Prompt, to_output_array, with_model
from prefect_llm.records import Failure, Outcome, Provider, Request
from prefect_llm.store import ResultRow, add_money


class AskedChunk:
    """One chunk on its way: requests out, priced rows in. The engine's thread calls both sides."""

    def __init__(self, staged: StagedChunk, provider: Provider, live: Live) -> None:
        self.staged = staged
        self._provider = provider
        self._routes = (provider, *provider.fallbacks)
        self._live = live
        self._discarded: list[Decimal | None] = []
        self._rows: list[ResultRow | None] = [None] * len(staged.ids)

    def ask(self, prompt: Prompt, *, keep_raw: bool) -> None:
        """Ask every document; blocks until each has its row.

        Raises the `RunError` that stopped the run, unless every document had ended all the same.
        """
        live = self._live
        try:
            ask(
                self._provider,
                self._requests(prompt),
                self._take,
                live.stop,
                rewritten=self._rewritten,
                keep_raw=keep_raw,
                sent=live.sent,
            )
        except RunError:
            if None in self._rows:
                raise

    def rows(self) -> list[ResultRow]:
        """The rows that have ended, in the order of the input."""
        return [row for row in self._rows if row is not None]

    def discarded_cost(self) -> Decimal | None:
        """What billed answers that ended no row cost; unknown as soon as one of them is."""
        total: Decimal | None = Decimal(0)
        for each in self._discarded:
            total = add_money(total, each)
        return total

    def _requests(self, prompt: Prompt) -> Iterator[Request]:
        """A request per document; a document that makes none gets its failed row at once."""
        for row, document_id in enumerate(self.staged.ids):
            try:
                request = prompt.request(row, document_id, self.staged.fields(row))
            except BadDocument as error:
                now_us = time.time_ns() // 1000
                failure = Failure(error.kind, error.message)
                outcome = Outcome(failure=failure, started_at_us=now_us, finished_at_us=now_us)
                model, host = prompt.parameters.model, self._provider.name
                self._keep(row, ResultRow(document_id, None, model, outcome, None, None, provider=host))
                continue
            yield request

    def _rewritten(self, request: Request, route: int) -> Request:
        """The request as that fallback is asked: for its own model, where it names one."""
        model = self._routes[route].model
        return request if model is None else with_model(request, model)

    def _take(self, request: Request, outcome: Outcome) -> None:
        """Price an outcome, by whoever answered, and keep its row."""
        model, provider = request.parameters.model, self._routes[outcome.route]
        price = price_for(provider, model)
        usage = outcome.completion.usage if outcome.completion is not None else None
        for each in outcome.discarded:
            self._discarded.append(cost(each.usage, price_for(self._routes[each.route], each.model)))
        row = ResultRow(
            request.document_id,
            request.fingerprint,
            model,
            outcome,
            cost(usage, price),
            price,
            provider=provider.name,
        )
        self._keep(request.row, row)

    def _keep(self, place: int, row: ResultRow) -> None:
        self._rows[place] = row
        self._live.count(row.outcome, row.cost, row.price)


def output_array(prompt: Prompt, rows: Sequence[ResultRow]) -> pa.Array | None:
    """The column `output`; `None` where no schema was asked for."""
    if prompt.output_type is None:
        return None
    completions = (row.outcome.completion for row in rows)
    values = [completion.output if completion is not None else None for completion in completions]
    return to_output_array(values, prompt.output_type)
