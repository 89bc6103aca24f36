"""Starting the gateway before a Prefect server, and telling it to be ill."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from tests.prefect_server import eventually
from tests.scripted_server.client import free_port

PROGRAM = Path(__file__).with_name("prefect_gateway.py")
STARTED_S = 60.0


class PrefectGateway:
    """A running gateway; `api_url` is that of the server behind it."""

    def __init__(self, port: int) -> None:
        self.api_url = f"http://127.0.0.1:{port}/api"
        self._control = f"http://127.0.0.1:{port}/-"

    def falls_ill(self, **illness: Any) -> None:
        """Spoil calls from now on; see `prefect_gateway.Illness`."""
        httpx.post(f"{self._control}/ill", json=illness, trust_env=False).raise_for_status()

    def is_well(self) -> None:
        """Spoil no more calls."""
        self.falls_ill()

    def spoilt(self, call: str = "") -> list[str]:
        """The calls that it has spoilt so far whose `METHOD PATH` contains `call`."""
        found = httpx.get(f"{self._control}/spoilt", trust_env=False).raise_for_status().json()
        return [each for each in found if call in each]

    def answers(self) -> bool:
        """Whether it is there."""
        try:
            return self.spoilt() == []
        except httpx.TransportError:
            return False


@contextmanager
def gateway_before(api_url: str) -> Iterator[PrefectGateway]:
    """A gateway before the server with that address, while the block runs."""
    port = free_port()
    command = [sys.executable, str(PROGRAM), str(port), str(urlsplit(api_url).port)]
    with subprocess.Popen(command) as process:
        try:
            gateway = PrefectGateway(port)
            eventually(gateway.answers, bool, STARTED_S)
            yield gateway
        finally:
            process.kill()
