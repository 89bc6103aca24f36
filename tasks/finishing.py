"""Task: fold the run into its summary, as report, manifest and artifacts."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from prefect_llm.errors import RunError
from prefect_llm.report import Summary, to_markdown, to_table
from prefect_llm.run import Run
from prefect_llm.run import finish_run as finish
from prefect_llm.store import ChunkFigures
from prefect_llm.tasks.run_log import core_log

REPORT_KEY = "llm-report"
FIGURES_KEY = "llm-figures"


@task(name="finish-run", cache_policy=NO_CACHE)
def finish_run(run: Run, figures: Sequence[ChunkFigures] = (), stopped: RunError | None = None) -> Summary:
    """Summarise the run directory, and show it as a markdown and a table artifact.

    `figures` are what `infer_chunk` returned, `stopped` is what it raised, if the run stopped early.
    """
    with core_log():
        summary = finish(run, figures, stopped)
    create_markdown_artifact(to_markdown(summary), key=REPORT_KEY, description=f"Run at {summary.output}")
    create_table_artifact(to_table(summary), key=FIGURES_KEY, description=f"Run at {summary.output}")
    get_run_logger().info("%s of %s documents answered, %s failed", *_counts(summary))
    return summary


def _counts(summary: Summary) -> tuple[str, str, str]:
    totals = summary.totals
    return f"{totals.ok:,}", f"{totals.rows:,}", f"{totals.failed:,}"
