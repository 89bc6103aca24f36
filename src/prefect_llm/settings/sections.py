"""The sections of run.yaml, a model each: here alone stand an option's name, type, bounds, default and help.

The command line, the environment, run.yaml and Prefect's form are all made from these fields. Which ones were
given is in `model_fields_set`: a block's own value is stronger than a default, but not than what was given.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from prefect_llm.records import Limits, Patience, TokenAccounting
from prefect_llm.settings.form_schema import FormSection
from prefect_llm.settings.kinds import (
    MAX_CONCURRENCY,
    MAX_TEMPERATURE,
    Address,
    Amount,
    Column,
    Concurrency,
    Count,
    Currency,
    Fallbacks,
    File,
    Keep,
    LogLevel,
    Parameters,
    Seconds,
    Share,
    Template,
    Variable,
)
from prefect_llm.settings.wording import Wording

_PATIENCE = Patience()
_SECTION = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class DocumentOptions(FormSection):
    """How the input is read."""

    model_config = ConfigDict(**_SECTION, title="Documents")

    id_column: Column | None = Field(
        default=None,
        title="Id column",
        description="The column with the documents' unique ids; without it the column id, else the row number.",
    )
    keep: Keep | None = Field(
        default=None,
        title="Keep",
        description="The input columns that the results carry; without it all but binary ones and messages.",
    )
    null_as: Annotated[str, Wording("TEXT")] | None = Field(
        default=None,
        title="Null as",
        description="What a template prints for a null field; without it such a document fails.",
    )
    limit: Count | None = Field(
        default=None, title="Limit", description="Ask only so many documents, from the first on."
    )


class DocumentsSection(DocumentOptions):
    """Which documents are read, and how."""

    model_config = ConfigDict(title="Documents")

    input: Annotated[str, Field(min_length=1), Wording("INPUT", "a path or URL")] | None = Field(
        default=None,
        title="Input",
        description="A file, folder, glob or URL of Parquet, CSV, JSON Lines or text files.",
    )


class PromptSection(FormSection):
    """What is asked of each document."""

    model_config = ConfigDict(**_SECTION, title="Prompt")

    prompt: Template | None = Field(
        default=None,
        title="Prompt",
        description=(
            "The prompt, a Jinja2 template over the document's fields; where neither it nor a prompt file is "
            "given, the column messages is sent as it is."
        ),
    )
    prompt_file: File | None = Field(
        default=None,
        title="Prompt file",
        description="A text file that holds the prompt, used as it is.",
    )
    system: Template | None = Field(
        default=None, title="System", description="The system message, a template like the prompt."
    )
    schema_file: Annotated[str, Field(min_length=1), Wording("FILE.json", "the path of a file")] | None = Field(
        default=None,
        validation_alias="schema",
        title="Schema",
        description="A file with the JSON schema that every answer must satisfy.",
    )
    row_params: Column | None = Field(
        default=None,
        title="Row parameters",
        description=(
            "A struct or JSON column with a document's own model, max_output_tokens, temperature and other "
            "parameters."
        ),
    )


class ApiOptions(FormSection):
    """Where the answers come from, how they are asked for and what they cost."""

    # A key that was typed into the wrong field must not come back in an error.
    model_config = ConfigDict(**_SECTION, title="API", hide_input_in_errors=True)

    base_url: Address | None = Field(
        default=None,
        title="Base URL",
        description="The endpoint up to and including /v1, where no provider block is used.",
    )
    api_key_env: Variable | None = Field(
        default=None,
        title="API key variable",
        description=(
            "The environment variable that holds the key for the base URL; without it PREFECT_LLM_API_KEY. "
            "It does not go with a base URL that replaces the one it was given with."
        ),
    )
    max_output_tokens: Count | None = Field(
        default=None, title="Output limit", description="How many tokens an answer may have at most."
    )
    fail_truncated: bool = Field(
        default=False,
        title="Truncated answers fail",
        description="Count an answer that the output limit cut as failed; with a schema it always is.",
    )
    temperature: Annotated[float, Field(ge=0, le=MAX_TEMPERATURE), Wording("X")] | None = Field(
        default=None,
        title="Temperature",
        description=f"The sampling temperature, from 0 to {MAX_TEMPERATURE}; without it the provider's own.",
    )
    param: Parameters = Field(
        default_factory=dict,
        title="Parameters",
        description='Further parameters of every request, by name, as in {"top_p": 0.9}.',
    )
    timeout: Seconds = Field(
        default=_PATIENCE.timeout_s, title="Timeout (s)", description="Seconds that one attempt may take."
    )
    idle_timeout: Seconds | None = Field(
        default=None,
        title="Idle timeout (s)",
        description=(
            "Have long answers streamed, and give an attempt up after so many seconds of silence; the timeout then "
            "does not count."
        ),
    )
    deadline: Seconds | None = Field(
        default=None,
        title="Deadline (s)",
        description="Seconds that a document may take over all its attempts; without it only attempts are bounded.",
    )
    max_attempts: Count = Field(
        default=_PATIENCE.max_attempts,
        title="Attempts",
        description="How often a request is sent at most when the endpoint fails.",
    )
    outage_patience: Seconds = Field(
        default=_PATIENCE.outage_s,
        title="Outage patience (s)",
        description="Seconds without a single success after which the run stops, to be resumed later.",
    )
    fallback: Fallbacks = Field(
        default=(),
        title="Fallbacks",
        description=(
            "Who is asked, in this order, while the provider is down, where its model is gone, or where the context "
            "is too long for it: blocks as BLOCK/MODEL, or /MODEL for another model of the same provider."
        ),
    )
    price_input: Amount | None = Field(
        default=None, title="Input price", description="The price of 1,000,000 input tokens."
    )
    price_cached_input: Amount | None = Field(
        default=None,
        title="Cached input price",
        description="The price of 1,000,000 cached input tokens; without it the input price.",
    )
    price_output: Amount | None = Field(
        default=None, title="Output price", description="The price of 1,000,000 output tokens."
    )
    price_per_hour: Amount | None = Field(
        default=None,
        title="Price per hour",
        description=(
            "What an hour of the endpoint costs, where the machines are one's own: each row bears its part of it."
        ),
    )
    currency: Currency = Field(
        default="USD", title="Currency", description="The currency of the prices, as in ISO 4217."
    )


class ApiSection(ApiOptions):
    """Which provider and model are asked, and how."""

    model_config = ConfigDict(title="API")

    provider: Annotated[str, Field(min_length=1), Wording("BLOCK", "the name of a block")] | None = Field(
        default=None,
        title="Provider",
        description="A saved block LLM Provider, by name: endpoint, key, limits and prices.",
    )
    model: Annotated[str, Field(min_length=1), Wording("M", "the name of a model")] | None = Field(
        default=None, title="Model", description="The model to ask; without it the provider block's own."
    )


class BatchOptions(FormSection):
    """How fast documents are asked, and how many may fail."""

    model_config = ConfigDict(**_SECTION, title="Batch")

    concurrency: Concurrency = Field(
        default="auto",
        title="Concurrency",
        description="How many requests are in flight at most; auto finds out what the endpoint can take.",
    )
    max_concurrency: Annotated[int, Field(ge=1, le=MAX_CONCURRENCY), Wording("N")] = Field(
        default=Limits().max_concurrency,
        title="Greatest concurrency",
        description="How many requests auto puts in flight at most, from 1 to 4096.",
    )
    requests_per_minute: Count | None = Field(
        default=None, title="Requests per minute", description="The account's limit, if it has one."
    )
    tokens_per_minute: Count | None = Field(
        default=None,
        title="Tokens per minute",
        description="The account's limit of input and output tokens together, if it has one.",
    )
    input_tokens_per_minute: Count | None = Field(
        default=None,
        title="Input tokens per minute",
        description="The account's limit of input tokens, where they are counted apart.",
    )
    output_tokens_per_minute: Count | None = Field(
        default=None,
        title="Output tokens per minute",
        description="The account's limit of output tokens, where they are counted apart.",
    )
    token_accounting: Annotated[TokenAccounting, Wording("reserved|used")] = Field(
        default=Limits().token_accounting,
        title="Token accounting",
        description=(
            "How the provider counts tokens: reserved, by the output limit and with nothing given back (safe "
            "everywhere), or used, settled by what an answer really took."
        ),
    )
    share_limits: bool | None = Field(
        default=None,
        title="Share limits",
        description=(
            "In flow runs, hold the limits over all processes that use the provider, by the Prefect server. "
            "A saved block shares its own by default."
        ),
    )
    chunk_rows: Count | None = Field(
        default=None,
        title="Rows per chunk",
        description="Documents per chunk and Parquet part; without it 1,000, or more above a million rows.",
    )
    reuse: Annotated[str, Field(min_length=1), Wording("DIR|previous", "a directory")] | None = Field(
        default=None,
        title="Reuse",
        description=(
            "The directory of an earlier run, whose answers to the same requests of the provider are taken; or "
            "previous, the run before this one among those that the same output template names."
        ),
    )
    no_dedup: bool = Field(
        default=False,
        title="No deduplication",
        description="Ask every one of identical requests; by default, without temperature, only the first.",
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
            "What the run may cost over all its attempts, in the currency of the prices; it needs known prices and "
            "an output limit, and stops the run before it is passed."
        ),
    )
    max_cost_per_month: Amount | None = Field(
        default=None,
        title="Budget per month",
        description="What all runs of a month (UTC) beside this one may cost; a deployment's runs are counted apart.",
    )
    max_error_share: Share = Field(
        default=0.05,
        title="Accepted error share",
        description="The share of failed documents, from 0 to 1, above which a finished run counts as failed.",
    )
    stop_error_share: Share = Field(
        default=0.5,
        title="Stopping error share",
        description="The share of failed documents, from 0 to 1, above which the run stops early.",
    )


class OutputSection(BaseModel):
    """Where the results go, and what is shown."""

    model_config = ConfigDict(**_SECTION, title="Output")

    output: Annotated[str, Field(min_length=1), Wording("DIR", "a directory")] | None = Field(
        default=None,
        title="Output",
        description=(
            "The run's directory, local or a URL; may hold {scheduled:%Y-%m-%d} and, in a flow run, {flow_run_id}."
        ),
    )
    keep_raw: bool = Field(
        default=False, title="Keep raw", description="Keep each answer as it came, in the column raw."
    )
    json_summary: bool = Field(
        default=False,
        validation_alias="json",
        title="JSON",
        description="End with the summary as one JSON object on standard output.",
    )
    quiet: bool = Field(default=False, title="Quiet", description="Show no progress and no summary.")


class LoggingSection(BaseModel):
    """What is logged."""

    model_config = ConfigDict(**_SECTION, title="Logging")

    log_level: LogLevel = Field(
        default="INFO",
        title="Log level",
        description="The least severe messages to log: DEBUG, INFO, WARNING or ERROR.",
    )


class MonitoringSection(FormSection):
    """What is told while a run goes on."""

    model_config = ConfigDict(**_SECTION, title="Monitoring")

    stats_interval_seconds: Seconds = Field(
        default=60.0,
        title="Figures every (s)",
        description="Seconds between two lines of figures in the log.",
    )
    alert_error_share: Share = Field(
        default=0.2,
        title="Alarming error share",
        description=(
            "The share of failed documents, from 0 to 1, above which a warning is logged and, in flow runs, the "
            "event errors.high is sent."
        ),
    )


class RunSettings(BaseModel):
    """The whole run: every section, merged and valid each by itself; `check` says whether it is complete."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    documents: DocumentsSection = Field(default_factory=DocumentsSection)
    prompt: PromptSection = Field(default_factory=PromptSection)
    api: ApiSection = Field(default_factory=ApiSection)
    batch: BatchOptions = Field(default_factory=BatchOptions)
    output: OutputSection = Field(default_factory=OutputSection)
    logging: LoggingSection = Field(default_factory=LoggingSection)
    monitoring: MonitoringSection = Field(default_factory=MonitoringSection)
