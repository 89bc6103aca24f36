"""One chunk's requests on their way: out through the run's lane, back as priced rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from prefect_llm.budget.account import BudgetAccount
from prefect_llm.budget.reservation import RequestBudget
from prefect_llm.lanes.lane import Delivery
from prefect_llm.lanes.lanes import lane_named
from prefect_llm.pricing import price_for
from prefect_llm.prompts import for_provider
from prefect_llm.reuse.duplicates import ChunkDuplicates
from prefect_llm.run.chunk_rows import ChunkRows
from prefect_llm.run.claimed_chunk import ClaimedChunk
from prefect_llm.run.context import RunContext
from prefect_llm.run.priced_rows import possibly_billed, priced_entry, record_cost, unasked_entry
from prefect_llm.run.rendering import Rendered
from prefect_llm.store import JournalEntry, LostRequests, ResultRow
from prefect_llm.store.tickets import Ticket
from prefect_llm.values.errors import BadDocument, RunError
from prefect_llm.values.outcome import Outcome
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request


class ChunkRequests:
    """Asks the documents of a chunk that have no row yet. The lane calls back on its own threads.

    `requests` are those that have no row, by row index, or why a document makes none; `rows` takes what ends.
    The `submitted` ones are collected by the `tickets` of earlier attempts, not asked again.
    """

    def __init__(
        self,
        context: RunContext,
        work: ClaimedChunk,
        requests: Mapping[int, Rendered],
        rows: ChunkRows,
        provider: Provider,
        account: BudgetAccount | None = None,
        submitted: frozenset[int] = frozenset(),
        tickets: Sequence[Ticket] = (),
    ) -> None:
        asks_once = context.plan.spec.asks_once
        self._context = context
        self._work = work
        self._earlier = tickets
        self._submitted = submitted
        self._rows = rows
        self._provider = provider
        self._duplicates = ChunkDuplicates(context.deduplicator.claims_of(work.chunk)) if asks_once else None
        self._budget = None if account is None else RequestBudget(account, provider)
        self._lost = Counter[int]()
        self._requests = {
            row_index: request if row_index in self._submitted else self._bounded(request)
            for row_index, request in requests.items()
        }

    def ask(self) -> None:
        """Ask every request; blocks until each has ended.

        Raises the `RunError` that stopped the run, unless every row had ended by then; `RuntimeError` if the lane
        delivered too little.
        """
        self._note_prices()
        wanted = tuple(self._requests)
        try:
            self._send(self._asked_here(), self._earlier)
            while self._duplicates is not None and self._duplicates.awaits:
                self._send(self._wait_for_other_chunk(self._duplicates))
        except RunError:
            if self._rows.lacks(wanted):
                raise
        finally:
            self._count_lost()
            if self._duplicates is not None:
                self._duplicates.leave()

        if self._rows.lacks(wanted):
            raise RuntimeError(f"the lane {self._context.run.lane!r} left documents of this chunk without an outcome")

    def committed(self) -> None:
        """The part is written: other chunks find the answers in it."""
        if self._duplicates is None:
            return

        answered = {each.row_index: each.row.fingerprint for each in self._rows.ended() if each.row.outcome.ok}
        self._duplicates.committed({index: found for index, found in answered.items() if found is not None})

    def _note_prices(self) -> None:
        """Note what each route costs. This loads the price list here, not on the engine's thread."""
        model = self._work.prompt.parameters.model
        for route in self._provider.routes:
            self._context.tracker.priced_at(price_for(route, route.model or model))

    def _send(self, row_indexes: Sequence[int], earlier: Sequence[Ticket] = ()) -> None:
        """Submit these requests, then collect their tickets and the `earlier` ones."""
        delivery, tickets = self._delivery(), list(earlier)
        if row_indexes:
            lane = lane_named(self._context.run.lane)
            tickets += lane.submit(self._provider, self._to_be_sent(row_indexes), delivery)
        for name in dict.fromkeys(ticket.lane for ticket in tickets):
            held = [ticket for ticket in tickets if ticket.lane == name]
            lane_named(name).collect(self._provider, held, self._held_by(held), delivery)

    def _delivery(self) -> Delivery:
        context = self._context
        return Delivery(
            deliver=self._end,
            sent=context.tracker.sent,
            keep=self._work.tickets.keep,
            rewrite=self._rewrite,
            stop=context.stop,
            keep_raw=context.plan.spec.keep_raw,
            budget=self._budget,
            answered=self._was_answered,
            throttled=context.tracker.throttled,
            lost=self._note_lost,
        )

    @property
    def _was_answered(self) -> bool:
        """Whether the run had answers from this model: in an earlier attempt, or in rows restored here."""
        plan, tally = self._context.plan, self._context.tracker.progress.tally
        own_model = self._work.prompt.parameters.model == plan.prompt.parameters.model
        return own_model and (plan.answered or tally.ok > 0)

    def _note_lost(self, request: Request) -> None:
        self._lost[request.row_index] += 1

    def _count_lost(self) -> None:
        """Count what was lost for documents that have not ended; rows tell what was lost for theirs."""
        for row_index, times in self._lost.items():
            request = self._requests[row_index]
            assert isinstance(request, Request), "it was sent"
            price = price_for(self._provider, request.parameters.model)
            billed = possibly_billed(request, times, price, self._provider)
            self._context.tracker.lose(LostRequests(times, billed))
        self._lost.clear()

    def _asked_here(self) -> list[int]:
        """Take the answers that exist already; returns the row indexes left for this chunk to ask."""
        duplicates = self._duplicates
        if duplicates is None:
            return [row_index for row_index in self._requests if row_index not in self._submitted]

        self._copy_restored()
        duplicates.group(
            {index: each.fingerprint for index, each in self._requests.items() if isinstance(each, Request)},
            self._submitted,
        )
        claimed = duplicates.claim([entry.row for entry in self._rows.ended()])
        for fingerprint, row in claimed.stored.items():
            self._copy(duplicates.leader_of(fingerprint), row, self._rows.keep)
        for fingerprint, row in claimed.answered.items():
            self._copy(duplicates.leader_of(fingerprint), row, self._rows.add)

        not_asked = duplicates.not_asked | self._submitted
        return [row_index for row_index in self._requests if row_index not in not_asked]

    def _copy_restored(self) -> None:
        """Copy restored rows to the other documents with the same request."""
        restored = {entry.row.fingerprint: entry.row for entry in reversed(self._rows.ended())}
        for row_index, request in list(self._requests.items()):
            if row_index in self._submitted or not isinstance(request, Request):
                continue
            if (row := restored.get(request.fingerprint)) is not None:
                del self._requests[row_index]
                self._rows.keep(self._rows.copied(row, row_index))

    def _wait_for_other_chunk(self, duplicates: ChunkDuplicates) -> list[int]:
        """Take another chunk's answer. If it has none, returns the row index, for this chunk to ask after all."""
        answered = duplicates.wait()
        leader = duplicates.leader_of(answered.fingerprint)
        if answered.row is None:
            return [leader]

        self._copy(leader, answered.row, self._rows.add)
        return []

    def _copy(self, leader: int, row: ResultRow, take: Callable[[JournalEntry], None]) -> None:
        """Take another chunk's answer by `rows.keep` if a part has it, else by `rows.add`, which journals it."""
        entry = self._rows.copied(row, leader)
        take(entry)
        del self._requests[leader]
        self._copy_to_followers(entry)

    def _bounded(self, request: Rendered) -> Rendered:
        """The request, or why no budget can bound its cost."""
        if self._budget is not None and isinstance(request, Request):
            try:
                self._budget.bound(request)
            except BadDocument as error:
                return error
        return request

    def _to_be_sent(self, row_indexes: Sequence[int]) -> Iterator[Request]:
        """The documents' requests. A document that makes none gets its failed row when its turn comes."""
        for row_index in row_indexes:
            request = self._requests[row_index]
            if isinstance(request, Request):
                yield request
            else:
                self._rows.keep(self._unasked(row_index, request))

    def _unasked(self, row_index: int, error: BadDocument) -> JournalEntry:
        document_id, model = self._rows.id_of(row_index), self._work.prompt.parameters.model
        return unasked_entry(row_index, document_id, error, model, self._provider, self._context.run.lane)

    def _held_by(self, tickets: Sequence[Ticket]) -> dict[int, Request]:
        """The requests, not ended yet, that these tickets hold."""
        indexes = (row_index for ticket in tickets for row_index in ticket.row_indexes)
        held = {row_index: self._requests.get(row_index) for row_index in indexes}
        return {row_index: request for row_index, request in held.items() if isinstance(request, Request)}

    def _rewrite(self, request: Request, route: int) -> Request:
        """The request as that fallback is asked."""
        return for_provider(request, self._provider.routes[route])

    def _end(self, request: Request, outcome: Outcome) -> None:
        """Price an outcome by the route that answered, and take its row."""
        self._lost.pop(request.row_index, None)
        charges = () if self._budget is None else self._budget.take_charges(request)
        entry = priced_entry(request, outcome, self._provider, charges)
        record_cost(entry)
        self._rows.add(entry)

        asked = self._requests.pop(request.row_index)  # as it was before a fallback's model was put into it
        self._copy_to_followers(entry)
        if self._duplicates is not None and isinstance(asked, Request):
            self._duplicates.ended(asked.fingerprint, entry.row)

    def _copy_to_followers(self, entry: JournalEntry) -> None:
        if self._duplicates is None:
            return

        for follower in self._duplicates.take_followers(entry.row_index):
            del self._requests[follower]
            self._rows.keep(self._rows.copied(entry.row, follower))


def submitted_in(tickets: Sequence[Ticket], requests: Mapping[int, Rendered]) -> frozenset[int]:
    """The row indexes of the requests that these tickets hold."""
    held = (row_index for ticket in tickets for row_index in ticket.row_indexes)
    return frozenset(row_index for row_index in held if isinstance(requests.get(row_index), Request))
