"""How the comparison moves when utilisation, price or throughput is other than thought."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from prefect_llm.hosting.api_costs import MILLION
from prefect_llm.hosting.break_even import break_even
from prefect_llm.hosting.own_hosting import own_cost
from prefect_llm.hosting.scenario import Hosting, Throughput, Workload
from prefect_llm.hosting.spans import Span
from prefect_llm.hosting.throughput import tokens_per_second

FACTORS = (Decimal("0.5"), Decimal("0.75"), Decimal("1"), Decimal("1.5"), Decimal("2"))
Varied = Literal["price", "utilisation", "throughput"]


@dataclass(frozen=True, slots=True)
class Variation:
    """One figure times a factor: the nodes, their monthly cost, what 1,000,000 output tokens cost when they are
    fully used (`None` without throughput), and the break-even of each model by running costs.
    """

    varied: Varied
    factor: Decimal
    nodes: int
    own_monthly: Span
    own_per_million: Span | None
    break_evens: Mapping[str, Span | None]


def variations(hosting: Hosting, workload: Workload, per_million: Mapping[str, Decimal]) -> Iterator[Variation]:
    """Prices always; utilisation up to 1 and throughput where that is known."""
    for factor in FACTORS:
        yield _variation("price", factor, hosting, workload, {name: p * factor for name, p in per_million.items()})

    if hosting.throughput is None:
        return

    for factor in FACTORS:
        if (share := hosting.utilisation * factor) <= 1:
            other = hosting.model_copy(update={"utilisation": share})
            yield _variation("utilisation", factor, other, workload, per_million)

    given = tokens_per_second(hosting.throughput)

    for factor in FACTORS:
        throughput = Throughput(tokens_per_second=given * factor)
        other = hosting.model_copy(update={"throughput": throughput})
        yield _variation("throughput", factor, other, workload, per_million)


def _variation(
    varied: Varied, factor: Decimal, hosting: Hosting, workload: Workload, per_million: Mapping[str, Decimal]
) -> Variation:
    own = own_cost(hosting, workload)
    full = None if own.capacity is None or not own.capacity.tokens else own.capacity.tokens / MILLION
    return Variation(
        varied=varied,
        factor=factor,
        nodes=own.nodes,
        own_monthly=own.total,
        own_per_million=None if full is None else own.total.over(full),
        break_evens={name: break_even(own.running, price) for name, price in per_million.items()},
    )
