"""Every request that a run would send, by its size: rendered from the staged documents, none of them sent.

Of a request are kept 30 bytes, so that a million documents fit in memory; its text is forgotten at once.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from prefect_llm.documents import Snapshot, StagedChunk, read_chunk
from prefect_llm.estimating.intervals import Interval, Sizes
from prefect_llm.estimating.sizes import input_size
from prefect_llm.pricing import Terms, terms_of
from prefect_llm.prompts import Prompt
from prefect_llm.reuse.earlier_runs import NO_EARLIER_RUNS, EarlierRuns
from prefect_llm.run.earlier_answers import earlier_answers
from prefect_llm.run.rendering import render_requests
from prefect_llm.run.spec import RunSpec
from prefect_llm.system.folders import Folder
from prefect_llm.values.errors import BadDocument
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request

_FINGERPRINT_DIGITS = 16
"""64 of the 128 bits: one request in a billion taken for another changes no estimate."""


class Kind(NamedTuple):
    """What of a request's parameters its cost and length depend on."""

    model: str
    max_output_tokens: int | None
    terms: Terms


def _unsigned() -> array[int]:
    return array("I")


@dataclass(slots=True)
class NotSent:
    """Documents that need no request: they make none, share an earlier one's, or have been answered before."""

    unaskable: int = 0
    repeated: int = 0
    reused: int = 0


@dataclass(slots=True)
class InputTokens:
    """The input tokens of each request, by the rule."""

    least: array[int] = field(default_factory=_unsigned)
    expected: array[int] = field(default_factory=_unsigned)
    most: array[int] = field(default_factory=_unsigned)


@dataclass(slots=True)
class Population:
    """The requests to be sent, in the order of the input; the arrays have an item for each.

    `documents` were looked at. `others` are requests with images and the like, which no count of text covers. `kind`
    indexes `kinds`.
    """

    documents: int = 0
    not_sent: NotSent = field(default_factory=NotSent)
    others: int = 0
    kinds: list[Kind] = field(default_factory=list)
    kind: array[int] = field(default_factory=_unsigned)
    chunk: array[int] = field(default_factory=_unsigned)
    row_index: array[int] = field(default_factory=_unsigned)
    bytes: array[int] = field(default_factory=_unsigned)
    tokens: InputTokens = field(default_factory=InputTokens)

    @property
    def requests(self) -> int:
        """How many there are to be sent."""
        return len(self.kind)

    @property
    def sizes(self) -> Sizes:
        """What is known of all of them, to explain by it what a sample shows."""
        return Sizes(self.requests, float(sum(self.bytes)))

    @property
    def input_tokens(self) -> Interval:
        """By the rule: its range, and what it expects."""
        return Interval(*(float(sum(each)) for each in (self.tokens.least, self.tokens.expected, self.tokens.most)))

    @property
    def output_tokens(self) -> Interval:
        """From one token each to the output limits; no upper bound where one has no limit."""
        limits = [kind.max_output_tokens for kind in self.kinds]
        counts = self._counts()
        if any(limit is None and count for limit, count in zip(limits, counts, strict=True)):
            return Interval(float(self.requests), None, None)
        most = sum((limit or 0) * count for limit, count in zip(limits, counts, strict=True))
        return Interval(float(min(self.requests, most)), None, float(most))

    def _counts(self) -> list[int]:
        counts = [0] * len(self.kinds)
        for kind in self.kind:
            counts[kind] += 1
        return counts


def population_of(
    folder: Folder,
    snapshot: Snapshot,
    chunks: Iterable[int],
    prompt: Prompt,
    spec: RunSpec,
    provider: Provider,
    earlier: EarlierRuns = NO_EARLIER_RUNS,
) -> Population:
    """Render every document of these chunks and count what would be asked.

    Identical requests count once where the run asks them once; those that an earlier run has answered do not count.
    """
    counting = _Counting(spec.asks_once)
    for chunk in chunks:
        staged = read_chunk(folder, snapshot, chunk)
        requests = render_requests(staged, prompt, range(len(staged.ids)), provider.api)
        found = earlier_answers(earlier, staged, requests, spec, provider)
        counting.add(chunk, staged, requests.items(), frozenset(entry.row_index for entry in found))
    return counting.population


class _Counting:
    def __init__(self, asks_once: bool) -> None:
        self.population = Population()
        self._seen: set[int] | None = set() if asks_once else None
        self._kinds: dict[Kind, int] = {}

    def add(
        self,
        chunk: int,
        staged: StagedChunk,
        requests: Iterable[tuple[int, Request | BadDocument]],
        reused: frozenset[int],
    ) -> None:
        """Count a chunk's documents."""
        self.population.documents += len(staged.ids)
        for row_index, request in requests:
            if isinstance(request, BadDocument):
                self.population.not_sent.unaskable += 1
            elif row_index in reused:
                self.population.not_sent.reused += 1
            elif self._is_repeated(request):
                self.population.not_sent.repeated += 1
            else:
                self._take(chunk, row_index, request)

    def _is_repeated(self, request: Request) -> bool:
        if self._seen is None:
            return False
        key = int(request.fingerprint[:_FINGERPRINT_DIGITS], 16)
        if key in self._seen:
            return True
        self._seen.add(key)
        return False

    def _take(self, chunk: int, row_index: int, request: Request) -> None:
        population, size = self.population, input_size(request)
        parameters = request.parameters

        kind = Kind(parameters.model, parameters.max_output_tokens, terms_of(parameters.model, parameters.extra))
        number = self._kinds.setdefault(kind, len(self._kinds))
        if number == len(population.kinds):
            population.kinds.append(kind)

        population.kind.append(number)
        population.chunk.append(chunk)
        population.row_index.append(row_index)
        population.bytes.append(size.bytes)
        population.tokens.least.append(size.least)
        population.tokens.expected.append(size.expected)
        population.tokens.most.append(size.most)
        population.others += size.other


def by_chunk(population: Population, chosen: Iterable[int]) -> Iterator[tuple[int, list[int]]]:
    """The row indexes of the chosen requests, chunk by chunk; `chosen` are in ascending order."""
    chunk, row_indexes = -1, list[int]()
    for each in chosen:
        if population.chunk[each] != chunk:
            if row_indexes:
                yield chunk, row_indexes
            chunk, row_indexes = population.chunk[each], []
        row_indexes.append(population.row_index[each])
    if row_indexes:
        yield chunk, row_indexes
