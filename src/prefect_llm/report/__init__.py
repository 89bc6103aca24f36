"""Rows and outcomes folded once into totals, and what people read of them."""

from prefect_llm.report.failed_list import failed_csv
from prefect_llm.report.failures import FailureExample
from prefect_llm.report.markdown import to_cost_markdown, to_markdown, to_results_markdown, to_table
from prefect_llm.report.summary import Summary
from prefect_llm.report.terminal import to_rich
from prefect_llm.report.totals import Times, Totals, fold

__all__ = [
    "FailureExample",
    "Summary",
    "Times",
    "Totals",
    "failed_csv",
    "fold",
    "to_cost_markdown",
    "to_markdown",
    "to_results_markdown",
    "to_rich",
    "to_table",
]
