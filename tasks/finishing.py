"""Task: fold the run into its summary, as report, manifest and artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast
from uuid import UUID

import httpx
from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_UI_URL

from prefect_llm.report import Summary, to_cost_markdown, to_markdown, to_results_markdown, to_table
from prefect_llm.report.pages.sentences import headline, spent
from prefect_llm.run.finishing import finish_run as finish
from prefect_llm.run.reference import RunReference
from prefect_llm.store import ChunkStats
from prefect_llm.tasks.naming import of_run
from prefect_llm.tasks.run_log import core_log
from prefect_llm.values.errors import RunError, reason_of

REPORT_KEY = "llm-report"
FIGURES_KEY = "llm-figures"
COST_KEY = "llm-cost"
RESULTS_KEY = "llm-results"


@task(name="finish-run", task_run_name=of_run("finish-run"), cache_policy=NO_CACHE)
def finish_run(run: RunReference, figures: Sequence[ChunkStats] = (), stopped: RunError | None = None) -> Summary:
    """Summarise the run directory, and show it as artifacts: report, figures, cost, and where the results lie.

    `figures` are what `infer_chunk` returned, `stopped` is what it raised, if the run stopped early.
    """
    with core_log():
        summary = finish(run, figures, stopped)
    try:
        show(summary)
    except (httpx.HTTPError, PrefectException) as error:  # the directory has it all
        get_run_logger().warning("the run's artifacts could not be made: %s", reason_of(error))
    get_run_logger().info("%s of %s documents answered, %s failed", *_counts(summary))
    return summary


def show(summary: Summary) -> None:
    """The summary as artifacts, under keys that show their history run after run.

    Of a description a card of the UI shows about forty characters: what differs comes first.
    """
    where = summary.output
    report = cast(UUID, create_markdown_artifact(to_markdown(summary), key=REPORT_KEY, description=f"Run at {where}"))
    create_table_artifact(to_table(summary), key=FIGURES_KEY, description=headline(summary))
    create_markdown_artifact(to_cost_markdown(summary), key=COST_KEY, description=f"{spent(summary)} at {where}")
    create_markdown_artifact(to_results_markdown(summary) + _link_to(report), key=RESULTS_KEY, description=where)


def _link_to(report: UUID) -> str:
    ui_url = PREFECT_UI_URL.value()
    return f"\n[The report here]({ui_url.rstrip('/')}/artifacts/artifact/{report})\n" if ui_url else ""


def _counts(summary: Summary) -> tuple[str, str, str]:
    totals = summary.totals
    return f"{totals.ok:,}", f"{totals.rows:,}", f"{totals.failed:,}"
