"""One chunk on its way through the engine: a request per document out, a priced row per outcome in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial

import pyarrow as pa

from prefect_llm.documents import StagedChunk
from prefect_llm.engine import ask
from prefect_llm.errors import BadDocument, InvalidInput, RunError
from prefect_llm.live import Live
from prefect_llm.pricing import cost, price_for, terms_of
from prefect_llm.prompts import Prompt, to_output_array, with_model
from prefect_llm.records import Failure, Outcome, Provider, Request
from prefect_llm.spending import ChunkBudget, Spending, most_cost
from prefect_llm.store import Entry, ResultRow, as_reused


class Twins:
    """Documents of one chunk with the same request: the first is asked, the others wait for its answer."""

    def __init__(self, done: Sequence[Entry]) -> None:
        self._first = {
            each.row.fingerprint: each.place for each in reversed(done) if each.row.fingerprint is not None
        }
        self._ended = set(self._first)
        self._waiting: dict[str, list[int]] = {}
        self._lock = threading.Lock()  # a fallback's answers come on another thread

    def join(self, request: Request) -> tuple[int, bool]:
        """The place of the first document with that request, and whether it has ended: if not, this one waits."""
        with self._lock:
            first = self._first.setdefault(request.fingerprint, request.row)
            ended = request.fingerprint in self._ended
            if first != request.row and not ended:
                self._waiting.setdefault(request.fingerprint, []).append(request.row)
            return first, ended

    def waiting_for(self, request: Request) -> list[int]:
        """The request has ended: the places that waited for it."""
        with self._lock:
            self._ended.add(request.fingerprint)
            return self._waiting.pop(request.fingerprint, [])


class AskedChunk:
    """One chunk on its way: requests out, priced rows in. The engine's thread calls both sides.

    `done` are the rows that are there already, from earlier attempts at the chunk or from other runs: they are not
    asked again. Without `only` all places of the chunk are asked; `kept` are the input columns of those. With `dedup`
    identical requests are asked once, and each of their documents gets the answer. `spending` is the run's money,
    where it has a budget.
    """

    def __init__(
        self,
        staged: StagedChunk,
        provider: Provider,
        prompt: Prompt,
        live: Live,
        done: Sequence[Entry] = (),
        *,
        only: Collection[int] | None = None,
        dedup: bool = False,
        spending: Spending | None = None,
    ) -> None:
        self.staged = staged
        self.kept = staged.kept if only is None else staged.kept.take(sorted(only))
        self._provider = provider
        self._routes = (provider, *provider.fallbacks)
        self._prompt = prompt
        self._live = live
        self._budget = None if spending is None else ChunkBudget(spending, provider)
        self._entries: list[Entry | None] = [None] * len(staged.ids)
        for entry in done:
            self._restore(entry)
        self._places = range(len(staged.ids)) if only is None else sorted(only)
        self._restored = frozenset(entry.place for entry in done)
        self._twins = Twins(done) if dedup else None

    def ask(self, write_down: Callable[[Entry], None], *, keep_raw: bool) -> None:
        """Ask every document that has no row; blocks until each has one. `write_down` is told every new row.

        Raises the `RunError` that stopped the run, unless every document had ended all the same.
        """
        live = self._live
        for route in self._routes:
            price_for(route, route.model or self._prompt.parameters.model)  # reads the list here, not in the engine
        try:
            ask(
                self._provider,
                self._requests(),
                partial(self._take, write_down),
                live.stop,
                rewritten=self._rewritten,
                keep_raw=keep_raw,
                sent=live.sent,
                budget=self._budget,
            )
        except RunError:
            if any(self._entries[place] is None for place in self._places):
                raise

    def entries(self) -> list[Entry]:
        """The rows that have ended, in the order of the input."""
        return [entry for entry in self._entries if entry is not None]

    def new_entries(self) -> list[Entry]:
        """Those of them that no earlier attempt had."""
        return [entry for entry in self.entries() if entry.place not in self._restored]

    def _restore(self, entry: Entry) -> None:
        """Take over a row that was written down; the parsed answer is parsed again."""
        if entry.place >= len(self._entries) or entry.row.id != self.staged.ids[entry.place]:
            raise InvalidInput(
                f"the journal of this chunk has a row of {entry.row.id!r} as document {entry.place}, which its "
                "snapshot has not: remove _run/inflight, and the chunk is asked anew"
            )
        answer_format, completion = self._prompt.parameters.answer_format, entry.row.outcome.completion
        if answer_format is not None and entry.row.outcome.ok and completion is not None:
            completion = replace(completion, output=answer_format.parse(completion.content or ""))
            outcome = replace(entry.row.outcome, completion=completion)
            entry = entry._replace(row=replace(entry.row, outcome=outcome))
        self._entries[entry.place] = entry
        self._live.restore(entry.row.outcome)

    def _requests(self) -> Iterator[Request]:
        """A request per document without a row; a document that makes none gets its failed row at once."""
        prompt = self._prompt
        for row in self._places:
            if row in self._restored:
                continue
            document_id = self.staged.ids[row]
            try:
                request = prompt.request(row, document_id, self.staged.fields(row))
                if self._budget is not None:
                    self._budget.bound(request)
            except BadDocument as error:
                now_us = time.time_ns() // 1000
                failure = Failure(error.kind, error.message)
                outcome = Outcome(failure=failure, started_at_us=now_us, finished_at_us=now_us)
                model, host = prompt.parameters.model, self._provider.name
                self._keep(Entry(row, ResultRow(document_id, None, model, outcome, None, None, provider=host)))
                continue
            first, ended = (row, False) if self._twins is None else self._twins.join(request)
            if first == row:
                yield request
            elif ended and (entry := self._entries[first]) is not None:
                self._keep(Entry(row, as_reused(entry.row, document_id)))

    def _rewritten(self, request: Request, route: int) -> Request:
        """The request as that fallback is asked: for its own model, where it names one."""
        model = self._routes[route].model
        return request if model is None else with_model(request, model)

    def _take(self, write_down: Callable[[Entry], None], request: Request, outcome: Outcome) -> None:
        """Price an outcome, by whoever answered, write its row down and keep it."""
        model, provider = request.parameters.model, self._routes[outcome.route]
        answer, at_us = outcome.completion, outcome.finished_at_us
        terms = terms_of(request.parameters.extra)
        price = price_for(
            provider, model, answered=answer.model if answer is not None else None, at_us=at_us, terms=terms
        )
        usage = answer.usage if answer is not None else None
        thrown = tuple(
            cost(each.usage, price_for(self._routes[each.route], each.model, at_us=at_us, terms=terms))
            for each in outcome.discarded
        )
        row = ResultRow(
            request.document_id,
            request.fingerprint,
            model,
            outcome,
            cost(usage, price),
            price,
            provider=provider.name,
        )
        entry = Entry(request.row, row, thrown, self._uncertain(request, row, thrown))
        write_down(entry)
        self._keep(entry)
        for place in self._twins.waiting_for(request) if self._twins is not None else ():
            self._keep(Entry(place, as_reused(row, self.staged.ids[place])))

    def _uncertain(self, request: Request, row: ResultRow, thrown: Sequence[Decimal | None]) -> Decimal | None:
        """What attempts without usage that can be read may have cost at most."""
        outcome = row.outcome
        unread = outcome.lost + thrown.count(None) + (outcome.completion is not None and row.cost is None)
        if not unread:
            return Decimal(0)
        try:
            return unread * most_cost(self._provider, request)
        except BadDocument:
            return None

    def _keep(self, entry: Entry) -> None:
        row = entry.row
        self._entries[entry.place] = entry
        self._live.count(row.outcome, row.cost, row.price)


def output_array(prompt: Prompt, rows: Sequence[ResultRow]) -> pa.Array | None:
    """The column `output`; `None` where no schema was asked for."""
    if prompt.output_type is None:
        return None
    completions = (row.outcome.completion for row in rows)
    values = [completion.output if completion is not None else None for completion in completions]
    return to_output_array(values, prompt.output_type)
