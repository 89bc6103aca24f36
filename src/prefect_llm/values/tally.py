"""Rows, tokens, money and requests as values that add up: `+` in any order and grouping gives the same sum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal

from prefect_llm.values.money import MONEY, ZERO, add_money
from prefect_llm.values.outcome import Outcome, Usage
from prefect_llm.values.price import Price


@dataclass(frozen=True, slots=True)
class TokenTally:
    """Tokens of any number of answers; a count that the endpoint did not tell adds nothing.

    Tokens read from a cache or written to one are part of the input, reasoning tokens part of the output.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: TokenTally | Usage) -> TokenTally:
        return TokenTally(
            self.input_tokens + (other.input_tokens or 0),
            self.cached_input_tokens + (other.cached_input_tokens or 0),
            self.cache_write_tokens + (other.cache_write_tokens or 0),
            self.output_tokens + (other.output_tokens or 0),
            self.reasoning_tokens + (other.reasoning_tokens or 0),
        )

    @property
    def total(self) -> int:
        """In and out."""
        return self.input_tokens + self.output_tokens

    @property
    def usage(self) -> Usage:
        """The same counts as of one answer, to be priced."""
        return Usage(**self.by_name())

    def by_name(self) -> dict[str, int]:
        """The counts by the names of their columns, in the order of those."""
        return {name: getattr(self, name) for name in TOKEN_COLUMNS}


_NO_TOKENS = TokenTally()
TOKEN_COLUMNS = tuple(each.name for each in fields(TokenTally))
"""The names of the token counts in result columns, ledger, `--json` and the metadata of parts, in this order."""


@dataclass(frozen=True, slots=True)
class RequestTally:
    """Requests: how many were sent, how many of them were not their document's first, and what became of them.

    `throttled` were answered 429. `lost` brought no answer and may have been billed.
    """

    sent: int = 0
    retries: int = 0
    throttled: int = 0
    lost: int = 0

    def __add__(self, other: RequestTally) -> RequestTally:
        return RequestTally(
            self.sent + other.sent,
            self.retries + other.retries,
            self.throttled + other.throttled,
            self.lost + other.lost,
        )

    @classmethod
    def of(cls, outcome: Outcome) -> RequestTally:
        """One document's requests."""
        return cls(outcome.attempts, max(outcome.attempts - 1, 0), outcome.throttled, outcome.lost)


@dataclass(frozen=True, slots=True)
class Tally:
    """Rows that have ended, with the tokens of their answers and the money billed for them.

    `known_cost` includes what discarded answers cost; `unknown_costs` counts what was billed at a cost that is not
    known. The currency is the last one seen.
    """

    ok: int = 0
    failed_by_kind: Mapping[str, int] = field(default_factory=dict)
    tokens: TokenTally = _NO_TOKENS
    known_cost: Decimal = ZERO
    unknown_costs: int = 0
    currency: str | None = None

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.ok + other.ok,
            _added(self.failed_by_kind, other.failed_by_kind),
            self.tokens + other.tokens,
            MONEY.add(self.known_cost, other.known_cost),
            self.unknown_costs + other.unknown_costs,
            other.currency or self.currency,
        )

    @property
    def failed(self) -> int:
        """Rows that ended without an answer."""
        return sum(self.failed_by_kind.values())

    @property
    def ended(self) -> int:
        """Rows that ended, well or not."""
        return self.ok + self.failed

    @property
    def cost(self) -> Decimal | None:
        """All that was billed; `None` if any of it is unknown."""
        return None if self.unknown_costs else self.known_cost

    def plus(
        self,
        outcome: Outcome,
        cost: Decimal | None,
        price: Price | None,
        discarded_costs: Iterable[Decimal | None] = (),
    ) -> Tally:
        """With one more row. A discarded answer of unknown cost adds nothing: it may not have been billed.

        Done for every row, so it shares what does not change and makes no tally of the one row first.
        """
        completion, failure = outcome.completion, outcome.failure
        known = self.known_cost if cost is None else MONEY.add(self.known_cost, cost)
        for each in discarded_costs:
            if each is not None:
                known = MONEY.add(known, each)

        usage = None if completion is None else completion.usage
        return Tally(
            self.ok + (failure is None),
            self.failed_by_kind if failure is None else _added(self.failed_by_kind, {str(failure.kind): 1}),
            self.tokens if usage is None else self.tokens + usage,
            known,
            self.unknown_costs + (cost is None and completion is not None),
            self.currency if price is None else price.currency,
        )

    def plus_unpaid(self, outcome: Outcome, rows: int = 1) -> Tally:
        """With rows that ended like this and were paid for at another time; -1 takes one out again."""
        failure = outcome.failure
        ended = Tally(ok=rows) if failure is None else Tally(failed_by_kind={str(failure.kind): rows})
        return self + ended


@dataclass(frozen=True, slots=True)
class Discarded:
    """Billed answers that ended no row. `cost` is `None` if that of any of them is unknown."""

    attempts: int = 0
    tokens: TokenTally = _NO_TOKENS
    cost: Decimal | None = ZERO

    def __add__(self, other: Discarded) -> Discarded:
        return Discarded(
            self.attempts + other.attempts,
            self.tokens + other.tokens,
            add_money(self.cost, other.cost),
        )


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> Mapping[str, int]:
    """The counts of both by name; a count that comes to 0 goes."""
    if not other:
        return one  # most of the time: no copy
    added = dict(one)
    for name, count in other.items():
        added[name] = added.get(name, 0) + count
        if not added[name]:
            del added[name]
    return added
