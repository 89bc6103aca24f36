"""A real Prefect server for the tests, started once per session, and what the tests ask of it.

What a run leaves (logs, artifacts, task runs) reaches the database a moment after the run has ended; `eventually`
waits for that, and for nothing else.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
import prefect.context
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import Artifact, FlowRun, Log, TaskRun
from prefect.context import get_settings_context
from prefect.events.filters import EventFilter, EventNameFilter, EventRelatedFilter
from prefect.events.schemas.events import ReceivedEvent
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
    temporary_settings,
)
from tests.scripted_server.client import free_port

STARTUP_S = 180
SOON_S = 30.0

_Seen = TypeVar("_Seen")


@dataclass(frozen=True, slots=True)
class PrefectServer:
    """The running server. `environ` lets other processes reach it; `home` is theirs and this process's."""

    api_url: str
    database: Path
    home: Path

    @property
    def environ(self) -> dict[str, str]:
        """The environment for a command that is to use this server, free of the developer's own settings."""
        return environ_of(self.api_url, self.home)

    def client(self) -> SyncPrefectClient:
        """A client of its own, to be used in a `with`."""
        return get_client(sync_client=True)

    def flow_run(self, flow_run_id: UUID) -> FlowRun:
        """The flow run as the server knows it."""
        with self.client() as client:
            return client.read_flow_run(flow_run_id)

    def task_runs(self, flow_run_id: UUID) -> list[TaskRun]:
        """The task runs of a flow run, recorded so far."""
        with self.client() as client:
            return client.read_task_runs(flow_run_filter=_only(flow_run_id))

    def logs(self, flow_run_id: UUID) -> list[Log]:
        """The log lines of a flow run and its tasks, recorded so far."""
        wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run_id]))
        with self.client() as client:
            return client.read_logs(wanted, limit=200)

    def artifacts(self, flow_run_id: UUID) -> dict[str | None, Artifact]:
        """The latest artifact of each key of a flow run."""
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
        with self.client() as client:
            found = client.read_artifacts(artifact_filter=wanted)
        return {artifact.key: artifact for artifact in sorted(found, key=lambda each: str(each.updated))}

    def run_events(self, flow_run_id: UUID) -> list[ReceivedEvent]:
        """The events of ours that a flow run has sent, in their order, as far as they have arrived."""
        related = EventRelatedFilter(id=[f"prefect.flow-run.{flow_run_id}"])
        wanted = EventFilter(event=EventNameFilter(prefix=["prefect-llm."]), related=related)
        body = {"filter": wanted.model_dump(mode="json"), "limit": 50}
        with self.client() as client:
            found = client._client.post("/events/filter", json=body).raise_for_status().json()
        events = [ReceivedEvent.model_validate(each) for each in found["events"]]
        return sorted(events, key=lambda each: each.occurred)

    def settled(self) -> None:
        """Hand over every log line and event that this process still holds."""
        APILogWorker.drain_all(timeout=SOON_S)
        EventsWorker.drain_all(timeout=SOON_S)

    def rows_with(self, text: str) -> list[str]:
        """The SQL of every row of the server's database that holds the text."""
        with closing(sqlite3.connect(self.database, timeout=SOON_S)) as connection:
            return [line for line in connection.iterdump() if text in line]


@contextmanager
def start_prefect(home: Path) -> Iterator[PrefectServer]:
    """A server on a fresh database; inside the block this process's flows, blocks and clients use it.

    A whole one: that of Prefect's own test harness ends no leases, whoever has died with them.
    """
    os.environ["DO_NOT_TRACK"] = "1"
    started = OwnServer(home, free_port())
    ours = {
        PREFECT_API_URL: started.api_url,
        PREFECT_HOME: home,
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore",
    }
    try:
        started.start()
        with temporary_settings(updates=ours), _settings_of_every_thread():
            server = PrefectServer(started.api_url, home / "prefect.db", home)
            yield server
            server.settled()
    finally:
        started.stop()


@contextmanager
def _settings_of_every_thread() -> Iterator[None]:
    """What is set now is also what a thread finds that was begun with no context, or has one from before."""
    before = prefect.context.GLOBAL_SETTINGS_CONTEXT
    prefect.context.GLOBAL_SETTINGS_CONTEXT = get_settings_context()
    try:
        yield
    finally:
        prefect.context.GLOBAL_SETTINGS_CONTEXT = before


def environ_of(api_url: str, home: Path) -> dict[str, str]:
    """The environment of a server and of those who use it; no deployment begins there by its schedule."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return own | {
        "PREFECT_API_URL": api_url,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


class OwnServer:
    """A server process of its own, which can be stopped and started again on the same port and database."""

    def __init__(self, home: Path, port: int) -> None:
        self.api_url = f"http://127.0.0.1:{port}/api"
        self._port = port
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environ(self) -> dict[str, str]:
        """The environment for a command that is to use this server."""
        return environ_of(self.api_url, self._home)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "prefect", "server", "start", "--no-ui", "--port", str(self._port)]
        with (self._home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self.environ, stdout=log, stderr=log, start_new_session=True
            )
        eventually(self._answers, bool, STARTUP_S)

    def stop(self) -> None:
        """Kill it with all it has started; what it was about to write is lost."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def flow_runs(self) -> list[FlowRun]:
        """All that it knows."""
        found = httpx.post(f"{self.api_url}/flow_runs/filter", json={}, trust_env=False).raise_for_status()
        return [FlowRun.model_validate(each) for each in found.json()]

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.api_url}/health", trust_env=False).is_success
        except httpx.TransportError:
            return False


def eventually(look: Callable[[], _Seen], happened: Callable[[_Seen], Any], timeout_s: float = SOON_S) -> _Seen:
    """Look again and again until what is seen satisfies `happened`; what was seen last is in the error."""
    until = time.monotonic() + timeout_s
    while not happened(seen := look()):
        if time.monotonic() > until:
            raise TimeoutError(f"waited {timeout_s} s, and saw {seen!r}")
        threading.Event().wait(0.1)
    return seen


def _only(flow_run_id: UUID) -> FlowRunFilter:
    return FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
