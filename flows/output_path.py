"""Where a flow run's results go: its scheduled time and its id fill in the output's template."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from prefect import get_client, runtime
from prefect.context import FlowRunContext

from prefect_llm.settings import output_directory


def output_at(template: str, scheduled: datetime) -> str:
    """The directory or URL that the template names in this flow run."""
    context = FlowRunContext.get()
    flow_run_id = str(context.flow_run.id) if context is not None and context.flow_run is not None else None
    return output_directory(template, scheduled=scheduled, flow_run_id=flow_run_id)


def scheduled_at() -> datetime:
    """The flow run's scheduled time: a nightly run that starts late still gets its own night's directory.

    As part of another flow it is that one's: only the outermost was scheduled, and only it stays in a retry.
    """
    context = FlowRunContext.get()
    flow_run = context.flow_run if context is not None else None
    if flow_run is not None and flow_run.parent_task_run_id is not None:
        with get_client(sync_client=True) as client:
            flow_run = client.read_flow_run(UUID(runtime.flow_run.root_flow_run_id))
    if flow_run is None or flow_run.expected_start_time is None:
        return datetime.now(UTC)
    return flow_run.expected_start_time
