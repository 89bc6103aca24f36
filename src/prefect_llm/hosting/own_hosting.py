"""What machines of one's own cost a month, how many are needed, and what they can give."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from prefect_llm.hosting.scenario import Hosting, Workload
from prefect_llm.hosting.spans import ZERO, Span
from prefect_llm.hosting.throughput import tokens_per_second


@dataclass(frozen=True, slots=True)
class Capacity:
    """Output tokens a month: of one node, and of those that work (without the redundant ones)."""

    per_node: Decimal
    working_nodes: int

    @property
    def tokens(self) -> Decimal:
        """Of all that work."""
        return self.per_node * self.working_nodes


@dataclass(frozen=True, slots=True)
class OwnCost:
    """A month's costs of `nodes` servers. `capacity` is `None` where no throughput was given."""

    nodes: int
    colocation: Span
    power: Span
    operations: Span
    upkeep: Span
    rent: Span
    purchase: Span | None
    amortisation: Span
    capacity: Capacity | None

    @property
    def running(self) -> Span:
        """Everything but what was bought."""
        return self.colocation + self.power + self.operations + self.upkeep + self.rent

    @property
    def total(self) -> Span:
        """With what was bought, written off."""
        return self.running + self.amortisation


def own_cost(hosting: Hosting, workload: Workload) -> OwnCost:
    """For the stated nodes, or as many as the workload needs, if that is more.

    Machines, their place, power and rent grow with the nodes; operations and upkeep do not.
    """
    capacity_per_node = _per_node(hosting, workload)
    nodes = hosting.nodes
    if capacity_per_node is not None:
        nodes = max(nodes, nodes_needed(hosting, workload.output_tokens, capacity_per_node))
    growth = Decimal(nodes) / hosting.nodes
    purchase = None if hosting.purchase is None else hosting.purchase.times(growth)
    hours = 24 * workload.days_per_month * hosting.gpus_per_node * nodes

    return OwnCost(
        nodes=nodes,
        colocation=hosting.colocation.times(growth),
        power=hosting.monthly_power(workload.days_per_month).times(growth),
        operations=hosting.salary.times(hosting.operations_fte),
        upkeep=hosting.upkeep,
        rent=ZERO if hosting.rent_per_gpu_hour is None else hosting.rent_per_gpu_hour.times(hours),
        purchase=purchase,
        amortisation=ZERO if purchase is None else purchase.over(hosting.amortisation_months),
        capacity=None
        if capacity_per_node is None
        else Capacity(capacity_per_node, max(nodes - hosting.redundant_nodes, 0)),
    )


def nodes_needed(hosting: Hosting, output_tokens: Decimal, per_node: Decimal) -> int:
    """The nodes for this many output tokens a month, redundancy included."""
    working = int((output_tokens / per_node).to_integral_value(ROUND_CEILING))
    return max(working, 1) + hosting.redundant_nodes


def _per_node(hosting: Hosting, workload: Workload) -> Decimal | None:
    if hosting.throughput is None:
        return None
    seconds = workload.days_per_month * 24 * 3600
    return tokens_per_second(hosting.throughput) * seconds * hosting.utilisation
