"""The worker type `prefect-llm`: Prefect's process worker, except in how it stops.

Prefect's own kills its flow runs' processes within two seconds of SIGTERM, and leaves the runs in the state Running.
This one takes no new run, passes SIGTERM on, waits for its runs to write, and reschedules them. A second SIGTERM ends
it at once.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any
from uuid import UUID

import anyio
from anyio.abc import TaskStatus
from prefect.client.schemas.objects import FlowRun
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

from prefect_llm.workers.rescheduling import ENDED, PENDING, reschedule_all

GRACE_S = 30.0
"""What a run has to write and end; it needs a few seconds. A container's grace time must be longer."""


class ReschedulingWorker(ProcessWorker):
    """Executes flow runs as processes; a stop reschedules them."""

    type = "prefect-llm"
    _display_name = "prefect-llm"
    _description = "Execute flow runs as subprocesses. A worker that is stopped lets them write and reschedules them."
    _documentation_url = "https://www.prefect.io/docs/v3/concepts/workers"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._pending: set[UUID] = set()
        self._stopped: set[UUID] = set()
        self._killed: set[UUID] = set()

    async def run(
        self, flow_run: FlowRun, configuration: ProcessJobConfiguration, task_status: TaskStatus[int] | None = None
    ) -> ProcessWorkerResult:
        """Execute the run. A cancelled `run` passes SIGTERM on and waits until the process is gone."""
        results: list[ProcessWorkerResult] = []
        ended = anyio.Event()
        execute = super().run

        async def carry_out(*, task_status: TaskStatus[int]) -> None:
            try:
                with anyio.CancelScope(shield=True):
                    results.append(await execute(flow_run, configuration, task_status))
            finally:
                ended.set()

        async with anyio.create_task_group() as group:
            pid = await group.start(carry_out)
            if task_status is not None:
                task_status.started(pid)
            try:
                await ended.wait()
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    self._stopped.add(flow_run.id)
                    if not await _ended_by_sigterm(pid, ended):
                        self._killed.add(flow_run.id)
                raise
        self._pending.discard(flow_run.id)
        return results[0]

    async def teardown(self, *exc_info: Any) -> None:
        """Stop the runs, and reschedule them once all processes are gone."""
        try:
            await super().teardown(*exc_info)  # a stopped worker's raises
        finally:
            with anyio.CancelScope(shield=True):
                waiting = dict.fromkeys(self._pending - self._stopped, PENDING)
                await reschedule_all(waiting | dict.fromkeys(self._stopped, ENDED), self._killed)

    async def _propose_pending_state(self, flow_run: FlowRun) -> bool:
        """Remembers the runs that the server has given to this worker, before they have a process."""
        ours = await super()._propose_pending_state(flow_run)
        if ours:
            self._pending.add(flow_run.id)
        return ours


async def _ended_by_sigterm(pid: int, ended: anyio.Event) -> bool:
    """Whether the process ended by itself; it is killed after the grace time."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    with anyio.move_on_after(GRACE_S):
        await ended.wait()
        return True
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    await ended.wait()
    return False
