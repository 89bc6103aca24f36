"""Task: fold the run into its summary, as report, manifest and artifacts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast
from uuid import UUID

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_UI_URL

from prefect_llm.report import Summary, to_cost_markdown, to_markdown, to_results_markdown, to_table
from prefect_llm.report.pages.sentences import headline, spent
from prefect_llm.run.finishing import finish_run as finish
from prefect_llm.run.reference import RunReference
from prefect_llm.tasks.artifacts import may_be_left_out, show_markdown, show_table
from prefect_llm.tasks.chunk_outcomes import ChunkOutcome, awaited, figures_in, reason_in
from prefect_llm.tasks.failed_state import failed_state
from prefect_llm.tasks.naming import of_run
from prefect_llm.tasks.run_log import core_log, is_in_run, log_of_run
from prefect_llm.values.errors import LLMBatchError, RunError, UnexpectedError

REPORT_KEY = "llm-report"
FIGURES_KEY = "llm-figures"
COST_KEY = "llm-cost"
RESULTS_KEY = "llm-results"

logger = logging.getLogger(__name__)


P = ParamSpec("P")
R = TypeVar("R")


class FinishingTask(Task[P, R]):
    """Waits for futures among its arguments, and takes what they failed with as it takes a result.

    Prefect runs no task of which an argument has failed, and has nothing (`None`) in the place of what it returns.
    """

    if not TYPE_CHECKING:  # the types of a call are those of the function

        def __call__(self, *args: Any, **options: Any) -> Any:
            """Run the task, or raise what opening the run has raised."""
            args, options = _known(args, options)
            ended = super().__call__(*args, **options)
            if isinstance(ended, State) and not options.get("return_state"):
                raise awaited(ended)  # a task that returns a state gets it back from a call
            return ended

        def submit(self, *args: Any, **options: Any) -> Any:
            """Run the task with the flow's task runner, once the futures are done."""
            args, options = _known(args, options)
            return super().submit(*args, **options)

        def with_options(self, **options: Any) -> Any:
            """The same task with other options of Prefect's."""
            made = super().with_options(**options)
            made.__class__ = type(self)  # Prefect makes a plain task of any other
            return made


def _finishing(function: Callable[P, R]) -> Task[P, R]:
    return FinishingTask(function, name="finish-run", task_run_name=of_run("finish-run"), cache_policy=NO_CACHE)


def _known(args: tuple[Any, ...], options: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    known, named = [awaited(each) for each in args], {name: awaited(each) for name, each in options.items()}
    run = known[0] if known else named.get("run")
    if isinstance(run, BaseException):
        raise run
    return known, named


@_finishing
def finish_run(run: RunReference, figures: Sequence[ChunkOutcome] = (), stopped: RunError | None = None) -> Summary:
    """Summarise the run directory, and show it as artifacts: report, figures, cost, and where the results lie.

    `figures` is what came of the chunks, in any form: what `infer_chunk` returned or raised, its futures (which are
    waited for) or their states. If a chunk has failed, the directory is summarised as that of a stopped run, and the
    chunk's error is raised with the `summary` on it; this task's run is then Failed by the reason's name. With
    `stopped`, what stopped the run is known to the caller, and the summary is returned.
    """
    outcomes = awaited(figures)
    reason = stopped or reason_in(outcomes)
    with core_log():
        summary = finish(run, figures_in(outcomes), _run_error(reason))
    if is_in_run():
        with may_be_left_out("the run's summary"):
            show(summary)
    log_of_run(logger).info("%s of %s documents answered, %s failed", *_counts(summary))

    if stopped is not None or reason is None:
        return summary
    if isinstance(reason, LLMBatchError):
        reason.summary = summary
    return cast(Summary, failed_state(reason))


def _run_error(reason: BaseException | None) -> RunError | None:
    return UnexpectedError(reason) if reason is not None and not isinstance(reason, RunError) else reason


def show(summary: Summary) -> None:
    """The summary as artifacts, under keys that show their history run after run.

    Of a description a card of the UI shows about forty characters: what differs comes first.
    """
    where = summary.output
    report = show_markdown(to_markdown(summary), key=REPORT_KEY, description=f"Run at {where}")
    show_table(to_table(summary), key=FIGURES_KEY, description=headline(summary))
    show_markdown(to_cost_markdown(summary), key=COST_KEY, description=f"{spent(summary)} at {where}")
    show_markdown(to_results_markdown(summary) + _link_to(report), key=RESULTS_KEY, description=where)


def _link_to(report: UUID) -> str:
    ui_url = PREFECT_UI_URL.value()
    return f"\n[The report here]({ui_url.rstrip('/')}/artifacts/artifact/{report})\n" if ui_url else ""


def _counts(summary: Summary) -> tuple[str, str, str]:
    totals = summary.totals
    return f"{totals.ok:,}", f"{totals.rows:,}", f"{totals.failed:,}"
