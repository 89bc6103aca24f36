"""Rows and outcomes folded once into totals, and what people read of them."""

from prefect_llm.report.figures.failures import FailureExample
from prefect_llm.report.figures.first_rows import first_rows
from prefect_llm.report.figures.folding import RunFigures, fold_all
from prefect_llm.report.figures.ledger import RunLedger, Sizes
from prefect_llm.report.figures.models import by_model
from prefect_llm.report.figures.summary import Summary
from prefect_llm.report.figures.totals import Times, Totals, fold
from prefect_llm.report.pages.advice import advise, may_be_redriven
from prefect_llm.report.pages.charts import charts_available
from prefect_llm.report.pages.failed_list import failed_csv
from prefect_llm.report.pages.markdown import to_cost_markdown, to_markdown, to_results_markdown, to_table
from prefect_llm.report.pages.terminal import to_rich

__all__ = [
    "FailureExample",
    "RunFigures",
    "RunLedger",
    "Sizes",
    "Summary",
    "Times",
    "Totals",
    "advise",
    "by_model",
    "charts_available",
    "failed_csv",
    "first_rows",
    "fold",
    "fold_all",
    "may_be_redriven",
    "to_cost_markdown",
    "to_markdown",
    "to_results_markdown",
    "to_rich",
    "to_table",
]
