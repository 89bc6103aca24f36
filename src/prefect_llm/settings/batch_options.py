"""The section `batch` of run.yaml: pace, limits, chunks, budget, and how many documents may fail."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from prefect_llm.settings.field_markers import FIXED, ProviderSetting
from prefect_llm.settings.form_schema import FormSection
from prefect_llm.settings.messages import Wording
from prefect_llm.settings.value_types import (
    MAX_CONCURRENCY,
    Amount,
    Concurrency,
    ConcurrencyCeiling,
    Count,
    Seconds,
    Share,
    TokenAccountingRule,
)
from prefect_llm.values.provider import Limits

_LIMITS = Limits()


class BatchOptions(FormSection):
    """How fast requests are sent, and how many documents may fail."""

    model_config = ConfigDict(title="Batch")

    concurrency: Annotated[Concurrency, ProviderSetting("limits.concurrency")] = Field(
        default="auto",
        title="Concurrency",
        description="The most requests in flight at once; auto finds what the endpoint can take.",
    )
    max_concurrency: Annotated[ConcurrencyCeiling, ProviderSetting("limits.max_concurrency")] = Field(
        default=_LIMITS.max_concurrency,
        title="Greatest concurrency",
        description=f"The most requests that auto puts in flight at once, from 1 to {MAX_CONCURRENCY}.",
    )
    requests_per_minute: Annotated[Count | None, ProviderSetting("limits.requests_per_minute")] = Field(
        default=None, title="Requests per minute", description="The account's limit, if it has one."
    )
    tokens_per_minute: Annotated[Count | None, ProviderSetting("limits.tokens_per_minute")] = Field(
        default=None,
        title="Tokens per minute",
        description="The account's limit of input and output tokens together, if it has one.",
    )
    input_tokens_per_minute: Annotated[Count | None, ProviderSetting("limits.input_tokens_per_minute")] = Field(
        default=None,
        title="Input tokens per minute",
        description="The account's limit of input tokens, if they are counted separately.",
    )
    output_tokens_per_minute: Annotated[Count | None, ProviderSetting("limits.output_tokens_per_minute")] = Field(
        default=None,
        title="Output tokens per minute",
        description="The account's limit of output tokens, if they are counted separately.",
    )
    token_accounting: Annotated[TokenAccountingRule, ProviderSetting("limits.token_accounting")] = Field(
        default=_LIMITS.token_accounting,
        title="Token accounting",
        description=(
            "How the provider counts tokens: reserved, by the output limit, with nothing refunded (safe everywhere); "
            "or used, by what an answer took."
        ),
    )
    share_limits: Annotated[bool | None, ProviderSetting()] = Field(
        default=None,
        title="Share limits",
        description=(
            "In flow runs, share the limits through the Prefect server among all processes that use the provider; "
            "a saved block does so by default."
        ),
    )
    chunk_rows: Annotated[Count | None, FIXED] = Field(
        default=None,
        title="Rows per chunk",
        description="Documents per chunk and Parquet part; by default 1,000, or more above a million rows.",
    )
    reuse: Annotated[str, Field(min_length=1), Wording("DIR|previous", "a directory")] | None = Field(
        default=None,
        title="Reuse",
        description=(
            "The directory of an earlier run, whose answers to the same requests are reused if they are the same "
            "provider's; or previous, for the runs before this one under the same output template."
        ),
    )
    no_dedup: Annotated[bool, FIXED] = Field(
        default=False,
        title="No deduplication",
        description="Send identical requests every time; by default only the first, unless a temperature is set.",
    )
    flush_interval: Seconds = Field(
        default=2.0,
        title="Flush interval",
        description=(
            "Seconds after which finished rows are safe from a power cut; on an object store, from a killed process."
        ),
    )
    max_cost: Amount | None = Field(
        default=None,
        title="Budget",
        description=(
            "The most the run may cost over all its attempts, in the currency of the prices; the run stops before it "
            "is exceeded. Needs known prices and an output limit."
        ),
    )
    max_cost_per_month: Amount | None = Field(
        default=None,
        title="Budget per month",
        description=(
            "The most this run and all others in the same parent directory may cost in a month (UTC); a "
            "deployment's runs count separately."
        ),
    )
    max_error_share: Share = Field(
        default=0.05,
        title="Accepted error share",
        description="The share of failed documents, from 0 to 1, above which a finished run counts as failed.",
    )
    stop_error_share: Share = Field(
        default=0.5,
        title="Stopping error share",
        description=(
            "The share of failed documents, from 0 to 1, above which the run stops early, once 100 have ended."
        ),
    )
