"""The command `automations create`."""

from __future__ import annotations

import sys

from prefect_llm.cli.exit_status import Exit
from prefect_llm.cli.prefect_server import check_server
from prefect_llm.values.errors import InvalidInput


def create(*, notify: str | None, zombie_after: float) -> int:
    """Print a line for each automation. Raises `InvalidInput` where there is no server or no such block."""
    from prefect import get_client
    from prefect.settings import PREFECT_API_URL

    from prefect_llm.flows import automations

    if not PREFECT_API_URL.value():
        raise InvalidInput("automations live on a Prefect server, and none is configured: set PREFECT_API_URL")
    if zombie_after < automations.LEAST_ZOMBIE_AFTER_S:
        least = automations.LEAST_ZOMBIE_AFTER_S
        raise InvalidInput(
            f"--zombie-after: expected {least:g} seconds or more, as heartbeats come every 30 s at best"
        )
    check_server()
    with get_client(sync_client=True) as client:
        wanted = [automations.cancel_on_errors(), automations.crash_zombies(zombie_after)]
        if notify is not None:
            wanted.append(automations.notify_on_failure(automations.notification_block(client, notify)))
        print("\n".join(automations.create(client, wanted)))
        slow = automations.slow_heartbeats(client, zombie_after)
    for sentence in slow:
        print(f"prefect-llm: {sentence}", file=sys.stderr)
    if notify is None:
        print("no one is notified of failures: add --notify TYPE/NAME of a saved notification block")
    return Exit.DONE
