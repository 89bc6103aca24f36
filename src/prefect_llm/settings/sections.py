"""The sections of run.yaml, a model each, and all of them together; `api` and `batch` have modules of their own.

An option's name, type, bounds, default and help stand in these models alone: the command line, the environment,
run.yaml and Prefect's form are all made from them. `model_fields_set` tells which options were given: a provider
block's own value is stronger than a default, and weaker than what was given.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from prefect_llm.settings.api_options import ApiSection
from prefect_llm.settings.batch_options import BatchOptions
from prefect_llm.settings.field_markers import FIXED
from prefect_llm.settings.form_schema import SECTION, FormSection
from prefect_llm.settings.messages import Wording
from prefect_llm.settings.value_types import (
    Column,
    Count,
    Directory,
    File,
    Input,
    Keep,
    LogLevel,
    OnBadRows,
    SchemaFile,
    Seconds,
    Share,
    Template,
)


class DocumentOptions(FormSection):
    """How the input is read."""

    model_config = ConfigDict(title="Documents")

    id_column: Annotated[Column | None, FIXED] = Field(
        default=None,
        title="Id column",
        description="The column with the documents' unique ids; by default the column id, else the row number.",
    )
    messages_column: Annotated[Column | None, FIXED] = Field(
        default=None,
        title="Messages column",
        description=(
            "The column with the conversations that are sent where there is no prompt, by default messages; a path "
            "such as body.messages goes into an object."
        ),
    )
    keep: Annotated[Keep | None, FIXED] = Field(
        default=None,
        title="Keep",
        description="The input columns that the results carry; by default all but binary ones and messages.",
    )
    null_as: Annotated[Annotated[str, Wording("TEXT")] | None, FIXED] = Field(
        default=None,
        title="Null as",
        description="What a template prints for a null field; by default such a document fails.",
    )
    limit: Annotated[Count | None, FIXED] = Field(
        default=None, title="Limit", description="Ask only this many documents, in input order."
    )
    on_bad_rows: Annotated[OnBadRows, FIXED] = Field(
        default="fail",
        title="On bad rows",
        description=(
            "What becomes of a row that cannot be read (no JSON, not UTF-8, too few or too many cells, a value that "
            "does not fit its column): fail refuses the input, row makes it a failed row."
        ),
    )


class DocumentsSection(DocumentOptions):
    """Which documents are read, and how."""

    model_config = ConfigDict(title="Documents")

    input: Annotated[Input | None, FIXED] = Field(
        default=None,
        title="Input",
        description="A file, folder, glob or URL of Parquet, CSV, JSON Lines or text files.",
    )


class PromptSection(FormSection):
    """What is asked of each document."""

    model_config = ConfigDict(title="Prompt")

    prompt: Annotated[Template | None, FIXED] = Field(
        default=None,
        title="Prompt",
        description=(
            "The prompt, a Jinja2 template over the document's fields. Without a prompt or a prompt file, the column "
            "messages is sent as it is."
        ),
    )
    prompt_file: Annotated[File | None, FIXED] = Field(
        default=None,
        title="Prompt file",
        description="A text file that holds the prompt, used as it is.",
    )
    system: Annotated[Template | None, FIXED] = Field(
        default=None, title="System", description="The system message, a template like the prompt."
    )
    schema_file: Annotated[SchemaFile | None, FIXED] = Field(
        default=None,
        validation_alias="schema",
        title="Schema",
        description="A file with the JSON schema that every answer must satisfy.",
    )
    row_params: Annotated[Column | None, FIXED] = Field(
        default=None,
        title="Row parameters",
        description=(
            "A struct or JSON column with a document's own model, max_output_tokens, temperature and other "
            "parameters."
        ),
    )


class OutputSection(BaseModel):
    """Where the results go, and what is shown."""

    model_config = ConfigDict(**SECTION, title="Output")

    output: Annotated[Directory | None, FIXED] = Field(
        default=None,
        title="Output",
        description=(
            "The run's directory, local or a URL; may hold {scheduled:%Y-%m-%d}, a day in UTC, or "
            "{scheduled:%Y-%m-%d@Europe/Berlin}, a day there, and, in a flow run, {flow_run_id}."
        ),
    )
    keep_raw: Annotated[bool, FIXED] = Field(
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

    model_config = ConfigDict(**SECTION, title="Logging")

    log_level: LogLevel = Field(
        default="INFO",
        title="Log level",
        description="The least severe messages to log: DEBUG, INFO, WARNING or ERROR.",
    )


class MonitoringOptions(FormSection):
    """What a running run reports."""

    model_config = ConfigDict(title="Monitoring")

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
            "event errors.high is sent, once 100 have ended."
        ),
    )
    answers_shown: int = Field(
        default=10,
        ge=0,
        le=200,
        title="Answers shown",
        description=(
            "How many of the first answers Prefect's artifact llm-results shows; 0 keeps all answers out of Prefect."
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
    monitoring: MonitoringOptions = Field(default_factory=MonitoringOptions)
