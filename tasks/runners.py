"""Which task runner the current flow has: one of this process's threads, or one over several processes."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Self

from prefect.context import FlowRunContext
from prefect.task_runners import ThreadPoolTaskRunner

from prefect_llm.blocks.prefect_calls import patient_client


class PatientThreads(ThreadPoolTaskRunner[Any]):
    """Prefect's threads, in a flow run whose state Prefect sets with patience.

    The engine keeps the task runner open from before the flow's first line until after its last state is set.
    """

    def __enter__(self) -> Self:
        self._patience = ExitStack()
        self._patience.enter_context(patient_client())
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:
        with self._patience:
            super().__exit__(*raised)


def over_processes() -> bool:
    """Whether task runs of the current flow may go to other processes: Dask's, Ray's, a process pool's."""
    context = FlowRunContext.get()
    return context is not None and not isinstance(context.task_runner, ThreadPoolTaskRunner)
