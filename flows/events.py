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


def send(run: RunReference, what: EventName, payload: Mapping[str, Any]) -> None:
    """Hand an event to Prefect's own thread: an unreachable server blocks nothing."""
    emit_event(
        event=f"{PREFIX}.{what}",
        resource={
            "prefect.resource.id": f"{PREFIX}.run.{run.run_id}",
            "prefect.resource.name": run.url,
            f"{PREFIX}.output": run.url,
        },
        payload=dict(payload),
    )


def send_started(run: RunReference) -> None:
    """Send that the run starts or resumes, with what is pending."""
    payload = {"rows": run.rows, "pending_rows": run.pending_rows, "pending_chunks": len(run.pending)}
    send(run, EventName.RUN_STARTED, payload | {"output": run.url})


def send_finished(run: RunReference, summary: Summary | None, stopped: RunError | None) -> None:
    """Send that the run has ended, however it did."""
    payload: dict[str, Any] = {"state": "failed", "output": run.url}

    if summary is not None:
        totals = summary.totals
        payload |= {
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
        payload["stopped"] = {"kind": stopped.kind, "message": stopped.message}

    send(run, EventName.RUN_FINISHED, payload)


def alert_sender(run: RunReference, monitor: RunMonitor) -> Callable[[], None]:
    """A function that sends and logs the alerts since it was last called."""
    logger = get_run_logger()

    def send_alerts() -> None:
        for alert in monitor.news():
            send(run, alert.what, {**alert.payload, "message": alert.message})
            logger.log(alert.level, alert.message)

    return send_alerts
