"""What the calculator is asked: a workload, models to buy it from, and machines to run one on.

Money is in `currency`, prices of tokens are per 1,000,000. A month has `days_per_month` days, a year 12 months.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from prefect_llm.hosting.spans import ZERO, Span, SpanField

Precision = Literal["fp32", "bf16", "fp16", "fp8", "int8", "fp4", "int4"]
Positive = Annotated[Decimal, Field(gt=0)]
Day = date
NotNegative = Annotated[Decimal, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Workload(_Part):
    """How much is asked: documents a day, or output tokens a month."""

    documents_per_day: NotNegative | None = Field(default=None, description="Documents a day, if not tokens a month.")
    output_tokens_per_month: NotNegative | None = Field(
        default=None, description="Output tokens a month, if not documents."
    )
    input_tokens_per_document: NotNegative = Field(default=Decimal(0), description="Input tokens of one document.")
    output_tokens_per_document: Positive = Field(default=Decimal(500), description="Output tokens of one document.")
    days_per_month: Positive = Field(default=Decimal(30), description="Days a month has in these figures.")
    strictly_private: bool = Field(default=False, description="The data may leave for no provider.")
    data_residency: str | None = Field(
        default=None, description="Region that the data may not leave, for instance EU."
    )
    trial: bool = Field(default=False, description="A trial, before there is a volume.")

    @model_validator(mode="after")
    def _one_volume(self) -> Self:
        if (self.documents_per_day is None) == (self.output_tokens_per_month is None):
            raise ValueError("give one of documents_per_day and output_tokens_per_month")
        return self

    @property
    def documents(self) -> Decimal:
        """A month's documents."""
        if self.documents_per_day is not None:
            return self.documents_per_day * self.days_per_month
        assert self.output_tokens_per_month is not None
        return self.output_tokens_per_month / self.output_tokens_per_document

    @property
    def input_tokens(self) -> Decimal:
        """A month's input tokens."""
        return self.documents * self.input_tokens_per_document

    @property
    def output_tokens(self) -> Decimal:
        """A month's output tokens."""
        return self.documents * self.output_tokens_per_document


class Model(_Part):
    """One model to buy answers from: its prices stated, or looked up in the price list by address and name."""

    name: str = Field(description="What it is called here.")
    price_input: NotNegative | None = Field(default=None, description="Per 1,000,000 input tokens.")
    price_output: NotNegative | None = Field(default=None, description="Per 1,000,000 output tokens.")
    price_date: date | None = Field(default=None, description="The day the price was looked up.")
    currency: str | None = Field(
        default=None, pattern="^[A-Z]{3}$", description="Of its stated prices; the scenario's if empty."
    )
    base_url: str | None = Field(default=None, description="Address whose list price counts where none is stated.")
    model: str | None = Field(default=None, description="The model's name there; the name if empty.")
    latency_ms: NotNegative | None = Field(default=None, description="Typical time of an answer, in milliseconds.")
    regions: tuple[str, ...] = Field(default=(), description="Where its data can be kept.")

    @model_validator(mode="after")
    def _has_a_price(self) -> Self:
        if self.price_output is None and self.base_url is None:
            raise ValueError("give price_output, or base_url for the list price")
        return self


class ExchangeRate(_Part):
    """What one unit of the scenario's currency is worth in another, and on which day."""

    units: Positive = Field(description="Units of the other currency for one of the scenario's.")
    date: Day = Field(description="The day of the rate.")


class Reseller(_Part):
    """Bills `price` of its own currency where the list says 1."""

    currency: str = Field(pattern="^[A-Z]{3}$", description="What it bills in.")
    price: Positive = Field(default=Decimal(1), description="Billed where the list says 1.")
    exchange_rate: Positive = Field(description="Units of that currency for one of the list's.")
    exchange_rate_date: date = Field(description="The day of the rate.")


class Weights(_Part):
    """The model to be hosted."""

    name: str = Field(description="What it is called.")
    parameters_billion: Positive = Field(description="All its parameters, in billions.")
    precision: Precision = Field(default="fp8", description="As it is held in memory.")
    reserve: Annotated[Decimal, Field(ge=0, lt=1)] = Field(
        default=Decimal("0.1"), description="Share of memory that weights may not take: caches, activations."
    )


class Throughput(_Part):
    """Output tokens per second of one node: stated, measured by a run of prefect-llm, or out of its `--json`."""

    tokens_per_second: Positive | None = Field(default=None, description="Stated.")
    run: str | None = Field(default=None, description="A run's directory: its output tokens over its time.")
    file: str | None = Field(
        default=None, description="A JSON file with output_tokens and seconds, as `run --json` prints."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.tokens_per_second, self.run, self.file)) != 1:
            raise ValueError("give one of tokens_per_second, run and file")
        return self


class Hosting(_Part):
    """Machines of one's own. Monthly amounts are for all `nodes`."""

    nodes: Annotated[int, Field(ge=1)] = Field(default=1, description="Servers that the amounts are for.")
    gpu: str = Field(description="The GPU's name.")
    gpus_per_node: Annotated[int, Field(ge=1)] = Field(default=1, description="GPUs in a server.")
    gpu_memory_gb: Positive = Field(description="Memory of one GPU, in GB.")
    weights: Weights | None = Field(default=None, description="The model, to see whether it fits.")
    purchase: SpanField | None = Field(default=None, description="What all servers cost to buy.")
    amortisation_months: Positive = Field(default=Decimal(36), description="Months over which that is written off.")
    rent_per_gpu_hour: SpanField | None = Field(default=None, description="Instead of buying.")
    colocation: SpanField = Field(default=ZERO, description="A month.")
    power: SpanField | None = Field(default=None, description="A month, if not computed from the next three.")
    power_kw: NotNegative = Field(default=Decimal(0), description="What all servers draw, in kW.")
    price_per_kwh: NotNegative | None = Field(default=None, description="Of electricity.")
    pue: Annotated[Decimal, Field(ge=1)] = Field(
        Decimal(1), description="Power of the site over that of its servers."
    )
    operations_fte: NotNegative = Field(default=Decimal(0), description="People who run it, in full-time jobs.")
    salary: SpanField = Field(default=ZERO, description="Of one full-time job, a month.")
    upkeep: SpanField = Field(default=ZERO, description="Software and model upkeep, a month.")
    throughput: Throughput | None = Field(default=None, description="Of one node; without it capacity is not judged.")
    utilisation: Annotated[Decimal, Field(gt=0, le=1)] = Field(
        default=Decimal("0.5"), description="Share of the time for which there is work."
    )
    redundant_nodes: Annotated[int, Field(ge=0)] = Field(default=0, description="Nodes beyond what capacity needs.")

    @model_validator(mode="after")
    def _bought_or_rented(self) -> Self:
        if self.purchase is not None and self.rent_per_gpu_hour is not None:
            raise ValueError("give purchase or rent_per_gpu_hour, not both")
        if self.power_kw and self.power is None and self.price_per_kwh is None:
            raise ValueError("power_kw needs price_per_kwh, or power as an amount")
        return self

    def monthly_power(self, days: Decimal) -> Span:
        """As stated, else kW x hours x PUE x price."""
        if self.power is not None:
            return self.power
        amount = self.power_kw * 24 * days * self.pue * (self.price_per_kwh or 0)
        return Span(amount, amount)


class Rules(_Part):
    """The volumes at which the recommendation turns, in tokens a month."""

    api_below: Positive = Field(default=Decimal(100_000_000), description="Below it an API is taken.")
    detail_above: Positive = Field(
        default=Decimal(1_000_000_000), description="Above it the detailed figures decide."
    )


class Scenario(_Part):
    """The whole question."""

    currency: str = Field(default="USD", pattern="^[A-Z]{3}$", description="Of every amount.")
    workload: Workload
    models: Annotated[tuple[Model, ...], Field(min_length=1)]
    hosting: Hosting | None = None
    reseller: Reseller | None = None
    exchange_rates: dict[str, ExchangeRate] = Field(
        default={}, description="By currency, for prices that are in another than the scenario's."
    )
    horizon_months: Positive = Field(default=Decimal(36), description="Over which the return is reckoned.")
    volumes: tuple[NotNegative, ...] = Field(
        default=(Decimal(100_000), Decimal(1_000_000), Decimal(10_000_000), Decimal(100_000_000)),
        description="Output tokens a month of the table of volumes.",
    )
    rules: Rules = Rules()
