"""Events of a run for Prefect's automations: `prefect-llm.run.started`, `prefect-llm.errors.high` and so on.

The resource is `prefect-llm.run.<run id>`; Prefect adds the flow run, its flow and deployment as related ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prefect import get_run_logger
from prefect.events import emit_event

from prefect_llm.report import Summary
from prefect_llm.run.monitor import EventName, RunMonitor
from prefect_llm.run.reference import RunReference
from prefect_llm.values.errors import RunError
from prefect_llm.values.formatting import plain_if_known

PREFIX = "prefect-llm"


def send(run: RunReference, what: EventName, figures: Mapping[str, Any]) -> None:
    """Hand an event over to Prefect's own thread: an unreachable server holds nothing up."""
    emit_event(
        event=f"{PREFIX}.{what}",
        resource={
            "prefect.resource.id": f"{PREFIX}.run.{run.run_id}",
            "prefect.resource.name": run.url,
            f"{PREFIX}.output": run.url,
        },
        payload=dict(figures),
    )


def started(run: RunReference) -> None:
    """The run goes on, or begins: so many documents are to be asked."""
    figures = {"rows": run.rows, "pending_rows": run.pending_rows, "pending_chunks": len(run.pending)}
    send(run, EventName.RUN_STARTED, figures | {"output": run.url})


def finished(run: RunReference, summary: Summary | None, stopped: RunError | None) -> None:
    """It has ended, by whatever end."""
    figures: dict[str, Any] = {"state": "failed", "output": run.url}
    if summary is not None:
        totals = summary.totals
        figures |= {
            "state": summary.state,
            "rows": totals.rows,
            "ok": totals.ok,
            "failed": totals.failed,
            "failed_by_kind": dict(totals.failed_by_kind),
            "cost": plain_if_known(totals.cost),
            "cost_uncertain": plain_if_known(summary.cost_uncertain),
            "currency": totals.currency,
        }
    if stopped is not None:
        figures["stopped"] = {"kind": stopped.kind, "message": stopped.message}
    send(run, EventName.RUN_FINISHED, figures)


def alert_sender(run: RunReference, lookout: RunMonitor) -> Callable[[], None]:
    """Sends and logs what has happened since it was last called."""
    logger = get_run_logger()

    def tell() -> None:
        for notice in lookout.news():
            send(run, notice.what, {**notice.figures, "message": notice.message})
            logger.log(notice.level, notice.message)

    return tell
