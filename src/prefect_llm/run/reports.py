"""Writes a run's reports: `report.md`, `report.html`, `ledger.json` and `failed.csv`.

All of them are made from the run's directory alone, so that `prefect-llm report DIR` can make them again.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from decimal import Decimal
from functools import partial

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from prefect_llm.documents import Snapshot, left_out_words, read_chunk
from prefect_llm.prompts import Prompt
from prefect_llm.report import (
    RunFigures,
    Sizes,
    Summary,
    advise,
    by_model,
    charts_available,
    failed_csv,
    first_rows,
    fold_all,
)
from prefect_llm.report.pages.markdown import to_markdown
from prefect_llm.run.rendering import render_requests
from prefect_llm.run.spec import RunSpec
from prefect_llm.store import PAGE, Manifest, RunDirectory
from prefect_llm.store.reading import find_run
from prefect_llm.values.errors import InvalidInput, reason_of
from prefect_llm.values.request import Request

SAMPLED = 200
"""Documents whose prompts are rendered again to estimate sizes, if no answer reports its usage."""
WITHOUT_CHARTS = "charts come with pip install 'prefect-llm[report]'; then prefect-llm report DIR draws them"

logger = logging.getLogger(__name__)


def figures_of_run(directory: RunDirectory, manifest: Manifest, rows: int) -> RunFigures:
    """Every figure of the directory's durable rows and lost requests; `rows` is how many documents it has."""
    return fold_all(directory, rows, partial(_sizes, directory, manifest), manifest.lost.to_stats())


def with_words(
    summary: Summary, figures: RunFigures, manifest: Manifest, directory: RunDirectory, *, answers_shown: int = 0
) -> Summary:
    """The summary with models, advice, what was left out in words, the first answers, and the path of the page.

    An interrupted run has no time to draw charts or to read answers; `prefect-llm report DIR` draws charts later.
    """
    left_out = Snapshot.from_json(manifest.snapshot).left_out
    drawn = summary.state != "interrupted" and charts_available()
    return replace(
        summary,
        models_used=by_model(figures.ledger),
        advice=advise(figures),
        page=f"{summary.output.rstrip('/')}/{PAGE}" if drawn else None,
        files_left_out=sum(each.files for each in left_out),
        left_out=left_out_words(left_out) if left_out else None,
        endings=figures.endings,
        first_rows=() if summary.state == "interrupted" else first_rows(directory, answers_shown),
    )


def write_texts(directory: RunDirectory, manifest: Manifest, summary: Summary, figures: RunFigures) -> None:
    """Write every report except the page."""
    directory.write_report(to_markdown(summary))
    directory.write_failed(failed_csv(directory) if summary.totals.failed else None)
    directory.write_ledger(
        figures.ledger.to_json(
            run_id=manifest.run_id, cost=summary.totals.cost, cost_uncertain=summary.cost_uncertain
        )
    )


def write_page(directory: RunDirectory, manifest: Manifest, summary: Summary, figures: RunFigures) -> None:
    """Draw the page, or remove an outdated one. A page that cannot be drawn does not fail the run."""
    if summary.page is None:
        directory.write_page(None)
        if not charts_available():
            logger.debug("no report.html: %s", WITHOUT_CHARTS)
        return
    from prefect_llm.report.pages.html import to_html

    try:
        page = to_html(summary, figures, manifest)
    except (ValueError, RuntimeError, ImportError) as error:  # of the drawer
        logger.warning("report.html could not be drawn (%s): report.md has the figures", reason_of(error))
        page = None
    directory.write_page(page)


def read_summary(path: str | os.PathLike[str]) -> Summary:
    """The summary of the run in a directory, or of the newest complete run below it; writes and asks nothing.

    `path` is local or an fsspec URL. Of an unfinished run it covers the rows that are durable. Requests and seconds
    are those of the last invocation that ended. Raises `InvalidInput` if there is no such run.
    """
    where = os.fspath(path)
    try:
        directory, manifest = find_run(where)
        summary, _ = _summarised(directory, manifest)
    except (OSError, pa.ArrowException) as error:
        raise InvalidInput(
            f"the run in {where} cannot be read ({reason_of(error)}): give a run directory that this process may read"
        ) from error
    return summary


def report_again(output: str) -> Summary:
    """Make every report of the run at `output` again, even of an unfinished or running one; asks nothing.

    Requests and seconds are those of the last invocation that ended. Raises `InvalidInput` if there is no run.
    """
    directory = RunDirectory.open(output)
    manifest = directory.check_run()
    summary, figures = _summarised(directory, manifest)

    write_texts(directory, manifest, summary, figures)
    write_page(directory, manifest, summary, figures)
    return summary


def _summarised(directory: RunDirectory, manifest: Manifest) -> tuple[Summary, RunFigures]:
    figures = figures_of_run(directory, manifest, Snapshot.from_json(manifest.snapshot).rows)

    ended = manifest.totals or {}
    possibly_billed = ended.get("cost_uncertain", figures.totals.chunk_stats.possibly_billed)
    summary = Summary(
        totals=figures.totals,
        state=manifest.state,
        output=directory.url,
        requests=int(ended.get("requests", 0)),
        retries=int(ended.get("retries", 0)),
        throttled=int(ended.get("throttled", 0)),
        seconds=float(ended.get("seconds", 0.0)),
        stopped=manifest.stopped,
        cost_uncertain=None if possibly_billed is None else Decimal(possibly_billed),
    )

    return with_words(summary, figures, manifest, directory), figures


def _sizes(directory: RunDirectory, manifest: Manifest) -> Sizes:
    return Sizes(_request_bytes(directory, manifest), _answer_bytes(directory))


def _request_bytes(directory: RunDirectory, manifest: Manifest) -> float | None:
    """The mean size of the first documents' messages; `None` if the snapshot was removed."""
    snapshot, prompt = Snapshot.from_json(manifest.snapshot), Prompt(RunSpec.from_json(manifest.spec).prompt)
    try:
        staged = read_chunk(directory.folder, snapshot, 0)
    except FileNotFoundError:
        return None
    requests = render_requests(staged, prompt, range(min(SAMPLED, len(staged.ids)))).values()
    sizes = [len(orjson.dumps(each.messages)) for each in requests if isinstance(each, Request)]
    return sum(sizes) / len(sizes) if sizes else None


def _answer_bytes(directory: RunDirectory) -> float | None:
    for part in directory.scan(("content",)):
        if (mean := pc.mean(pc.binary_length(part["content"])).as_py()) is not None:
            return float(mean)
    return None
