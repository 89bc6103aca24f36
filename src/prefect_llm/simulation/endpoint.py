"""The simulated provider on a port of the running loop, and what all its connections share."""

from __future__ import annotations

import asyncio
import time

import orjson

from prefect_llm.simulation import answers
from prefect_llm.simulation.answers import Delivery
from prefect_llm.simulation.connection import Connection
from prefect_llm.simulation.formats import format_at, format_listing_at
from prefect_llm.simulation.http_requests import Head
from prefect_llm.simulation.provider import SimulatedProvider
from prefect_llm.simulation.settings import Simulation
from prefect_llm.simulation.stats import EndpointStats
from prefect_llm.simulation.turns import Turns
from prefect_llm.values.errors import InvalidInput

BACKLOG = 4096
"""As many as `--concurrency` allows: they may all connect at once."""
MOST_PORT = 65_535
STATS_PATH, RESET_PATH = "/stats", "/reset"
METHODS = {STATS_PATH: "GET", RESET_PATH: "POST"}


class Endpoint:
    """A provider that listens. Must be created inside a running loop."""

    def __init__(self, simulation: Simulation) -> None:
        self._provider = SimulatedProvider(simulation)
        self._turns = Turns(simulation.knee)
        self._opened: set[Connection] = set()

    @property
    def stats(self) -> EndpointStats:
        """The counts up to now."""
        return self._provider.stats

    async def listen(self, host: str, port: int) -> str:
        """Accept connections from now on; returns the base URL.

        Raises `InvalidInput` for an address that cannot be listened on.
        """
        if not 0 <= port <= MOST_PORT:  # uvloop would use the last 16 bits
            raise InvalidInput(f"cannot listen on port {port}: ports are 0 to {MOST_PORT} (0: any free)")
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connection, host, port, backlog=BACKLOG)
        except OSError as error:
            reason = error.strerror or error
            message = f"cannot listen on {host} port {port}: {reason}; choose another --host or --port (0: any free)"
            raise InvalidInput(message) from error
        return _base_url(host, self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Drop every connection, even those being answered."""
        self._server.close()
        for connection in tuple(self._opened):
            connection.abort()

    def _connection(self) -> Connection:
        return Connection(self._provider, self._turns, self._route, self._opened)

    def _route(self, head: Head) -> Delivery:
        """Answer anything that is not a request to a model."""
        listing = format_listing_at(head.path)
        method = "GET" if listing else "POST" if format_at(head.path) else METHODS.get(head.path)
        if method is None:
            message = f"Unknown request URL: {head.method} {head.path}. Please check the URL for typos."
            return answers.error(404, message, code="unknown_url")
        if head.method != method:
            message = f"Not allowed to {head.method} on {head.path} (HINT: use {method})."
            return answers.error(405, message, headers=b"allow: %b\r\n" % method.encode())

        if listing is not None:
            return self._provider.models(listing, head)
        if head.path == RESET_PATH:
            self._provider.reset()
            self._turns.start_over()
        stats = self.stats.to_json(time.monotonic(), len(self._opened))
        return Delivery(answers.ok(orjson.dumps(stats)))


def _base_url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"
