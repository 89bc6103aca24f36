"""Puts flow runs that a signal has ended back among the scheduled ones, where a worker finds them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient, SyncPrefectClient, get_client
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.logging import get_logger
from prefect.states import AwaitingRetry
from prefect.types._datetime import now

MESSAGE = "The run's process was told to stop. Finished rows are kept; the next worker continues the run."
KILLED = "The run's process was killed with its worker. Written rows are kept; the next worker continues the run."

ENDED = frozenset({StateType.RUNNING, StateType.PENDING, StateType.CRASHED})
"""What Prefect says of a run whose process a signal has ended: Crashed, or still what it was before."""
PENDING = frozenset({StateType.PENDING})
LEASE_S = 75.0
"""After a kill: the run's directory is free once its owner has been silent for 60 s (docs/contract.md)."""

logger: logging.Logger = get_logger("prefect_llm.workers")


def reschedule(client: SyncPrefectClient, flow_run_id: UUID) -> bool:
    """Reschedule a running flow run; False where Prefect has already decided what becomes of it."""
    state = client.read_flow_run(flow_run_id).state
    if state is None or not state.is_running():
        return False
    return client.set_flow_run_state(flow_run_id, _awaiting_retry()).status == SetStateStatus.ACCEPT


async def reschedule_all(left_in: Mapping[UUID, Collection[StateType]], killed: Collection[UUID] = ()) -> None:
    """Reschedule the flow runs, whose processes are gone, that were left in these states; says which."""
    for flow_run_id, states in left_in.items():
        try:
            async with get_client() as client:
                await _reschedule(client, flow_run_id, states, killed=flow_run_id in killed)
        except Exception as fault:
            logger.error("Flow run '%s' could not be rescheduled (%s): retry it.", flow_run_id, fault)


async def _reschedule(
    client: PrefectClient, flow_run_id: UUID, left_in: Collection[StateType], *, killed: bool
) -> None:
    state = (await client.read_flow_run(flow_run_id)).state
    if state is None or state.type not in left_in:
        return
    await client.set_flow_run_state(flow_run_id, _awaiting_retry(killed=killed), force=True)  # as Retry in the UI
    logger.info("Flow run '%s' rescheduled.", flow_run_id)


def _awaiting_retry(*, killed: bool = False) -> State[None]:
    if killed:
        return AwaitingRetry(message=KILLED, scheduled_time=now("UTC") + timedelta(seconds=LEASE_S))
    return AwaitingRetry(message=MESSAGE)
