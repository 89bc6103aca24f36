"""One chunk on its way through the engine: a request per document out, a priced row per outcome in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pyarrow as pa

from prefect_llm.budget.account import BudgetAccount, RequestBudget
from prefect_llm.documents import StagedChunk
from prefect_llm.engine import ask
from prefect_llm.pricing import price_for
from prefect_llm.progress.tracker import RunTracker
from prefect_llm.prompts import Prompt, for_provider, to_output_array
from prefect_llm.reuse.in_flight import ChunkClaims
from prefect_llm.run.priced_rows import priced_entry, record_cost, unasked_entry
from prefect_llm.run.rendering import Rendered
from prefect_llm.store import JournalEntry, ResultRow, as_reused
from prefect_llm.values.errors import BadDocument, InvalidInput, RunError
from prefect_llm.values.outcome import Outcome
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request


class ChunkRequests:
    """One chunk on its way: requests out, priced rows in. The engine's thread calls both sides.

    `requests` are those of the places that are to have a row in the end, as far as `done` does not hold it: rows that
    are there already, from earlier attempts at the chunk or from other runs. Without `only` these are all places of
    the chunk; `kept` are the input columns of those. With a `member` identical requests are asked once, and each of
    their documents gets the answer: of this chunk's documents the first is asked, of several chunks' the first one's.
    `spending` is the run's money, where it has a budget.
    """

    def __init__(
        self,
        staged: StagedChunk,
        requests: Mapping[int, Rendered],
        provider: Provider,
        prompt: Prompt,
        live: RunTracker,
        done: Sequence[JournalEntry] = (),
        *,
        only: Collection[int] | None = None,
        member: ChunkClaims | None = None,
        spending: BudgetAccount | None = None,
    ) -> None:
        self.staged = staged
        self.kept = staged.kept if only is None else staged.kept.take(sorted(only))
        self._provider = provider
        self._routes = provider.routes
        self._prompt = prompt
        self._live = live
        self._budget = None if spending is None else RequestBudget(spending, provider)
        self._entries: list[JournalEntry | None] = [None] * len(staged.ids)
        for entry in done:
            self._restore(entry)
        self._places = range(len(staged.ids)) if only is None else sorted(only)
        self._restored = frozenset(entry.row_index for entry in done)
        self._requests = {
            place: self._bounded(requests[place]) for place in self._places if place not in self._restored
        }
        self._member = member
        self._first: dict[str, int] = {}
        self._twins: dict[int, list[int]] = {}
        self._awaited: set[str] = set()

    def ask(self, write_down: Callable[[JournalEntry], None], *, keep_raw: bool) -> None:
        """Ask every document that has no row; blocks until each has one. `write_down` is told every new row.

        Raises the `RunError` that stopped the run, unless every document had ended all the same.
        """
        for route in self._routes:  # reads the list of prices here, not in the engine
            self._live.priced_at(price_for(route, route.model or self._prompt.parameters.model))
        try:
            self._ask(self._join(write_down), write_down, keep_raw)
            while self._awaited:
                self._ask(self._await(write_down), write_down, keep_raw)
        except RunError:
            if any(self._entries[place] is None for place in self._places):
                raise
        finally:
            if self._member is not None:
                self._member.leave()

    def committed(self) -> None:
        """The part is written: other chunks find the answers in it."""
        if self._member is not None:
            rows = ((entry.row_index, entry.row) for entry in self.entries() if entry.row.outcome.ok)
            self._member.committed({place: row.fingerprint for place, row in rows if row.fingerprint is not None})

    def _ask(self, places: Sequence[int], write_down: Callable[[JournalEntry], None], keep_raw: bool) -> None:
        if not places:
            return
        ask(
            self._provider,
            self._requests_of(places),
            partial(self._take, write_down),
            self._live.stop,
            rewritten=self._rewritten,
            keep_raw=keep_raw,
            sent=self._live.sent,
            budget=self._budget,
        )

    def _join(self, write_down: Callable[[JournalEntry], None]) -> list[int]:
        """Take what answers there are; the places that are this chunk's to ask."""
        if self._member is None:
            return list(self._requests)
        self._find_twins()
        restored = [entry.row for entry in self.entries()]
        joined = self._member.join(self._first, restored)
        self._awaited.update(joined.awaited)
        for fingerprint, row in joined.stored.items():
            self._take_over(fingerprint, row)
        for fingerprint, row in joined.answered.items():
            self._take_over(fingerprint, row, write_down)
        waiting = {self._first[fingerprint] for fingerprint in joined.awaited}
        twins = {place for places in self._twins.values() for place in places}
        return [place for place in self._requests if place not in waiting and place not in twins]

    def _find_twins(self) -> None:
        """Of the documents with the same request all but the first wait for it, or have a restored one's row."""
        restored = {entry.row.fingerprint: entry.row for entry in reversed(self.entries())}
        for place, request in list(self._requests.items()):
            if isinstance(request, BadDocument):
                continue
            if (row := restored.get(request.fingerprint)) is not None:
                del self._requests[place]
                self._keep(JournalEntry(place, as_reused(row, self.staged.ids[place])))
            elif (first := self._first.setdefault(request.fingerprint, place)) != place:
                self._twins.setdefault(first, []).append(place)

    def _await(self, write_down: Callable[[JournalEntry], None]) -> list[int]:
        """Wait for an answer that another chunk asks for; the place that is this chunk's to ask after all.

        A run that stops needs no signal here: the other chunk ends in time, and to ask then raises why.
        """
        assert self._member is not None
        message = self._member.inbox.get()
        self._awaited.discard(message.fingerprint)
        if message.row is None:
            return [self._first[message.fingerprint]]
        self._take_over(message.fingerprint, message.row, write_down)
        return []

    def _take_over(
        self, fingerprint: str, row: ResultRow, write_down: Callable[[JournalEntry], None] | None = None
    ) -> None:
        """Another chunk's answer; `write_down` where it lies in no part as yet."""
        place = self._first[fingerprint]
        entry = self._parsed(JournalEntry(place, as_reused(row, self.staged.ids[place])))
        if write_down is not None:
            write_down(entry)
        del self._requests[place]
        self._keep_with_twins(entry)

    def entries(self) -> list[JournalEntry]:
        """The rows that have ended, in the order of the input."""
        return [entry for entry in self._entries if entry is not None]

    def done(self) -> int:
        """How many rows have ended."""
        return len(self._entries) - self._entries.count(None)

    def new_entries(self) -> list[JournalEntry]:
        """Those of them that no earlier attempt had."""
        return [entry for entry in self.entries() if entry.row_index not in self._restored]

    def _restore(self, entry: JournalEntry) -> None:
        """Take over a row that was written down; the parsed answer is parsed again."""
        if entry.row_index >= len(self._entries) or entry.row.id != self.staged.ids[entry.row_index]:
            raise InvalidInput(
                f"the journal of this chunk has a row of {entry.row.id!r} as document {entry.row_index}, which is "
                "not in its snapshot: remove _run/inflight, and the chunk is asked again"
            )
        self._entries[entry.row_index] = self._parsed(entry)
        self._live.restore(entry.row.outcome)

    def _parsed(self, entry: JournalEntry) -> JournalEntry:
        """With the parsed answer, which neither journals nor this reader of parts keep."""
        answer_format, completion = self._prompt.parameters.answer_format, entry.row.outcome.completion
        if answer_format is None or completion is None or not entry.row.outcome.ok or completion.output is not None:
            return entry
        completion = replace(completion, output=answer_format.parse(completion.content or ""))
        outcome = replace(entry.row.outcome, completion=completion)
        return entry._replace(row=replace(entry.row, outcome=outcome))

    def _bounded(self, request: Rendered) -> Rendered:
        """The request, or why a budget cannot hold it."""
        if self._budget is not None and isinstance(request, Request):
            try:
                self._budget.bound(request)
            except BadDocument as error:
                return error
        return request

    def _requests_of(self, places: Sequence[int]) -> Iterator[Request]:
        """The documents' requests; one that makes none gets its failed row when its turn comes."""
        for place in places:
            request = self._requests[place]
            if isinstance(request, BadDocument):
                self._keep(
                    unasked_entry(
                        place, self.staged.ids[place], request, self._prompt.parameters.model, self._provider
                    )
                )
            else:
                yield request

    def _rewritten(self, request: Request, route: int) -> Request:
        """The request as that fallback is asked."""
        return for_provider(request, self._routes[route])

    def _take(self, write_down: Callable[[JournalEntry], None], request: Request, outcome: Outcome) -> None:
        """Price an outcome, by whoever answered, write its row down and keep it."""
        entry = priced_entry(request, outcome, self._provider)
        record_cost(entry)
        write_down(entry)
        asked = self._requests.pop(request.row_index)  # as it was before a fallback's model was put into it
        self._keep_with_twins(entry)
        if self._member is not None and isinstance(asked, Request):
            self._member.ended(asked.fingerprint, entry.row)

    def _keep_with_twins(self, entry: JournalEntry) -> None:
        self._keep(entry)
        for place in self._twins.pop(entry.row_index, ()):
            del self._requests[place]
            self._keep(JournalEntry(place, as_reused(entry.row, self.staged.ids[place])))

    def _keep(self, entry: JournalEntry) -> None:
        row = entry.row
        self._entries[entry.row_index] = entry
        self._live.count(row.outcome, row.cost, row.price, entry.discarded_costs)


def output_array(prompt: Prompt, rows: Sequence[ResultRow]) -> pa.Array | None:
    """The column `output`; `None` where no schema was asked for."""
    if prompt.output_type is None:
        return None
    completions = (row.outcome.completion for row in rows)
    values = [completion.output if completion is not None else None for completion in completions]
    return to_output_array(values, prompt.output_type)
