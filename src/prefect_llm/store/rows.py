"""Turns outcomes into rows: one tuple per row, then Arrow columns in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from operator import attrgetter
from typing import Any

import pyarrow as pa

from prefect_llm.store.schema import OUTPUT, RAW, REASONING, RESULT_COLUMNS, lacking_columns
from prefect_llm.values.formatting import one_line
from prefect_llm.values.outcome import MOST_TOKENS, Completion, ErrorKind, Outcome, Usage
from prefect_llm.values.price import Price
from prefect_llm.values.tally import TOKEN_COLUMNS

NOTHING_PAID = Decimal(0)

_NO_COMPLETION = Completion(content=None)
_NO_USAGE = Usage()
_NO_TOKENS = Usage(**dict.fromkeys(TOKEN_COLUMNS, 0))
_token_counts = attrgetter(*TOKEN_COLUMNS)
_KIND_WORDS = {kind: kind.value for kind in ErrorKind}
_COLUMNS = tuple(name for name in RESULT_COLUMNS if name not in (OUTPUT, RAW, REASONING))


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One document's outcome and what it cost.

    `provider` is the host that was asked, or would have been. `reused` rows were paid for elsewhere: their tokens,
    cost and attempts are written as 0. `cost` and `price` are `None` if unknown.
    """

    id: str
    fingerprint: str | None
    requested_model: str | None
    outcome: Outcome
    cost: Decimal | None
    price: Price | None
    reused: bool = False
    provider: str | None = None


def as_reused(row: ResultRow, id: str) -> ResultRow:
    """The same answer or failure, as the row of another document with the same request."""
    completion = row.outcome.completion
    outcome = replace(
        row.outcome,
        completion=None if completion is None else replace(completion, usage=None),
        attempts=0,
        throttled=0,
        latency_ms=None,
        queued_ms=None,
        discarded=(),
        lost=0,
        endpoint_s=0.0,
    )

    return replace(row, id=id, outcome=outcome, cost=NOTHING_PAID, price=None, reused=True)


def result_table(
    rows: Sequence[ResultRow],
    *,
    schema: pa.Schema,
    run_id: str,
    kept: pa.Table,
    output: pa.Array | None,
) -> pa.Table:
    """A chunk's rows as a table with a schema made by `result_schema`.

    `kept` and `output` hold one value per row, in the order of `rows`; `output` is `None` if the run asks for no
    answer schema. Latency and tokens are those of the attempt that ended the row.
    """
    tuples = [_values(row, run_id) for row in rows]
    values = dict(zip(_COLUMNS, zip(*tuples, strict=True), strict=True)) if tuples else {}

    lacking = lacking_columns(schema)
    columns: dict[str, Any] = {
        name: pa.array(values.get(name, ()), schema.field(name).type) for name in _COLUMNS if name not in lacking
    }

    if output is not None:
        columns[OUTPUT] = output
    if RAW in schema.names:
        columns[RAW] = pa.array([_raw(row) for row in rows], schema.field(RAW).type)

    if REASONING in schema.names:  # a kept column of that name replaces it
        columns[REASONING] = pa.array([_reasoning(row) for row in rows], pa.string())

    columns.update(zip(kept.column_names, kept.columns, strict=True))
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _values(row: ResultRow, run_id: str) -> tuple[Any, ...]:
    """One row's values in the order of `_COLUMNS`."""
    outcome, price, reused = row.outcome, row.price, row.reused
    completion, failure = outcome.completion or _NO_COMPLETION, outcome.failure
    usage = _NO_TOKENS if reused else completion.usage or _NO_USAGE

    return (
        row.id,
        row.fingerprint,
        "ok" if failure is None else "failed",
        run_id,
        completion.content,
        completion.finish_reason,
        row.requested_model,
        completion.model,
        row.provider,
        outcome.lane,
        *map(_count, _token_counts(usage)),
        NOTHING_PAID if reused else row.cost,
        price.currency if price else None,
        price.source if price else None,
        reused,
        0 if reused else outcome.attempts,
        None if reused else outcome.latency_ms,
        None if reused else outcome.queued_ms,
        outcome.started_at_us,
        outcome.finished_at_us,
        _KIND_WORDS[failure.kind] if failure else None,
        failure.status if failure else None,
        one_line(failure.message, cut="") if failure else None,
    )


def _count(tokens: int | None) -> int | None:
    """Endpoints may report any integer; one that does not fit an int64 counts as unknown."""
    return tokens if tokens is None or 0 <= tokens <= MOST_TOKENS else None


def _reasoning(row: ResultRow) -> str | None:
    completion = row.outcome.completion
    return None if completion is None else completion.reasoning


def _raw(row: ResultRow) -> str | None:
    completion = row.outcome.completion
    if completion is None or completion.raw is None:
        return None
    return completion.raw.decode("utf-8", "replace")
