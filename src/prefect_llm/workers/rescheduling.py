"""Puts a flow run that a signal has ended back among the scheduled ones, where a worker finds it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient, SyncPrefectClient
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.states import AwaitingRetry
from prefect.types._datetime import now

MESSAGE = "The run's process was told to stop. Finished rows are kept; the next worker continues the run."
KILLED = "The run's process was killed with its worker. Written rows are kept; the next worker continues the run."

LEASE_S = 75.0
"""After a kill: the run's directory is free once its owner has been silent for 60 s (docs/contract.md)."""


def reschedule(client: SyncPrefectClient, flow_run_id: UUID) -> bool:
    """Reschedule a running flow run; False where Prefect has already decided what becomes of it."""
    state = client.read_flow_run(flow_run_id).state
    if state is None or not state.is_running():
        return False
    return client.set_flow_run_state(flow_run_id, _awaiting_retry()).status == SetStateStatus.ACCEPT


async def rescheduled(
    client: PrefectClient, flow_run_id: UUID, left_in: Collection[StateType], *, killed: bool = False
) -> bool:
    """Reschedule a flow run whose process is gone, if it was left in one of these states."""
    state = (await client.read_flow_run(flow_run_id)).state
    if state is None or state.type not in left_in:
        return False
    await client.set_flow_run_state(flow_run_id, _awaiting_retry(killed=killed), force=True)  # Crashed is final
    return True


def _awaiting_retry(*, killed: bool = False) -> State[None]:
    if killed:
        return AwaitingRetry(message=KILLED, scheduled_time=now("UTC") + timedelta(seconds=LEASE_S))
    return AwaitingRetry(message=MESSAGE)
