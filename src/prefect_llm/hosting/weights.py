"""Whether a model's weights fit the memory of some GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from prefect_llm.hosting.scenario import Hosting

BYTES = {
    "fp32": Decimal(4),
    "bf16": Decimal(2),
    "fp16": Decimal(2),
    "fp8": Decimal(1),
    "int8": Decimal(1),
    "fp4": Decimal("0.5"),
    "int4": Decimal("0.5"),
}
"""Of one parameter."""


@dataclass(frozen=True, slots=True)
class Fit:
    """`needed_gb` of weights against `usable_gb` of `gpus` GPUs; `gpus_needed` at the same reserve."""

    model: str
    precision: str
    needed_gb: Decimal
    memory_gb: Decimal
    usable_gb: Decimal
    gpus: int
    gpus_needed: int

    @property
    def fits(self) -> bool:
        """Whether the weights leave the reserve free."""
        return self.needed_gb <= self.usable_gb


def fit_of(hosting: Hosting) -> Fit | None:
    """The stated model on all stated GPUs together, 1 GB being 10^9 bytes; `None` where none is stated."""
    weights = hosting.weights
    if weights is None:
        return None

    gpus = hosting.nodes * hosting.gpus_per_node
    usable = hosting.gpu_memory_gb * (1 - weights.reserve)
    needed = weights.parameters_billion * BYTES[weights.precision]
    return Fit(
        model=weights.name,
        precision=weights.precision,
        needed_gb=needed,
        memory_gb=hosting.gpu_memory_gb,
        usable_gb=usable * gpus,
        gpus=gpus,
        gpus_needed=int((needed / usable).to_integral_value(ROUND_CEILING)),
    )
