"""`serve`, as Prefect's, except in how it stops: Prefect's cancels its runs and pauses its deployments."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from uuid import UUID

import anyio
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import TerminationSignal
from prefect.runner import Runner

from prefect_llm.workers.rescheduling import ENDED, reschedule_all


def serve(*deployments: RunnerDeployment, limit: int | None = None) -> None:
    """Serve the deployments until SIGTERM or SIGINT. Runs are then rescheduled: the next start continues them."""
    runner = _ReschedulingRunner(pause_on_shutdown=False, limit=limit)
    for deployment in deployments:
        runner.add_deployment(deployment)
    with suppress(KeyboardInterrupt, TerminationSignal):
        asyncio.run(runner.start())


class _ReschedulingRunner(Runner):
    """Lets its runs end by SIGTERM, and reschedules those that could not do so themselves."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._stopped: set[UUID] = set()

    async def cancel_all(self) -> None:
        """Pass SIGTERM on; a process that has not ended after 30 s is killed."""
        async with anyio.create_task_group() as group:
            for flow_run_id in self._process_manager.flow_run_ids():
                self._stopped.add(flow_run_id)
                group.start_soon(self._process_manager.kill, flow_run_id)

    async def __aexit__(self, *exc_info: Any) -> None:
        try:
            await super().__aexit__(*exc_info)
        finally:
            with anyio.CancelScope(shield=True):
                await reschedule_all(dict.fromkeys(self._stopped, ENDED))
