"""Rows and outcomes folded once into totals, and what people read of them."""

from prefect_llm.report.advice import advise
from prefect_llm.report.charts import charts_available
from prefect_llm.report.failed_list import failed_csv
from prefect_llm.report.failures import FailureExample
from prefect_llm.report.folding import RunFigures, fold_all
from prefect_llm.report.ledger import RunLedger, Sizes
from prefect_llm.report.markdown import to_cost_markdown, to_markdown, to_results_markdown, to_table
from prefect_llm.report.models import by_model
from prefect_llm.report.summary import Summary
from prefect_llm.report.terminal import to_rich
from prefect_llm.report.totals import Times, Totals, fold

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
    "fold",
    "fold_all",
    "to_cost_markdown",
    "to_markdown",
    "to_results_markdown",
    "to_rich",
    "to_table",
]
