"""The Prefect server that a command needs: for saved blocks, and for runs as a flow."""

from __future__ import annotations

import os

from prefect_llm.values.errors import InvalidInput, reason_of

STARTUP_S = 180
"""A fresh Prefect database takes half a minute on a small machine; Prefect's own default gives up after 20 s."""


def check_server() -> None:
    """Raise `InvalidInput` where the configured server does not answer. Without one Prefect starts its own."""
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", str(STARTUP_S))  # read by the import
    from prefect import get_client
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if not url:
        return
    with get_client(sync_client=True) as client:
        fault = client.api_healthcheck()
    if fault is not None:
        raise InvalidInput(
            f"the Prefect server at {url} cannot be reached ({reason_of(fault)}): start it with prefect "
            "server start, or set PREFECT_API_URL to the one that runs"
        )
