"""The settings of a run: one model per section, merged from flags, environment and run.yaml, judged once."""

from prefect_llm.settings.api_options import ApiOptions, ApiSection
from prefect_llm.settings.batch_options import BatchOptions
from prefect_llm.settings.budgeting import budget_of
from prefect_llm.settings.checks import check, check_estimate, check_redrive, check_resume
from prefect_llm.settings.directory_name import output_directory
from prefect_llm.settings.layers import load
from prefect_llm.settings.options import Option, options, sections
from prefect_llm.settings.prompt_files import answer_schema, prompt_text
from prefect_llm.settings.sections import (
    DocumentOptions,
    DocumentsSection,
    LoggingSection,
    MonitoringOptions,
    OutputSection,
    PromptSection,
    RunSettings,
)
from prefect_llm.settings.sources import unknown_variables
from prefect_llm.settings.to_core import (
    endpoint_provider,
    run_options,
    run_spec,
    siblings_of,
    with_fallbacks,
    with_overrides,
)

__all__ = [
    "ApiOptions",
    "ApiSection",
    "BatchOptions",
    "DocumentOptions",
    "DocumentsSection",
    "LoggingSection",
    "MonitoringOptions",
    "Option",
    "OutputSection",
    "PromptSection",
    "RunSettings",
    "answer_schema",
    "budget_of",
    "check",
    "check_estimate",
    "check_redrive",
    "check_resume",
    "endpoint_provider",
    "load",
    "options",
    "output_directory",
    "prompt_text",
    "run_options",
    "run_spec",
    "sections",
    "siblings_of",
    "unknown_variables",
    "with_fallbacks",
    "with_overrides",
]
