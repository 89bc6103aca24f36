"""Which task runner the current flow has: one of this process's threads, or one over several processes."""

from __future__ import annotations

from prefect.context import FlowRunContext
from prefect.task_runners import ThreadPoolTaskRunner


def over_processes() -> bool:
    """Whether task runs of the current flow may go to other processes: Dask's, Ray's, a process pool's."""
    context = FlowRunContext.get()
    return context is not None and not isinstance(context.task_runner, ThreadPoolTaskRunner)
