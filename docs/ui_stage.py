"""What the pictures of Prefect's UI show: a server, a simulated provider, a worker, and some nights that were run.

Support tickets lie in /srv/llm, where deployments/prefect.yaml looks for them; all of it is made here, and removed.
The nights are run one after the other within minutes; then their times are set back in the server's database.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
SRV = Path("/srv/llm")
MODEL, BETTER_MODEL = "gpt-4.1-mini", "gpt-4.1"
PRICES = {
    MODEL: {"input": "0.40", "cached_input": "0.10", "output": "1.60", "date": "2026-11-01"},
    BETTER_MODEL: {"input": "2.00", "cached_input": "0.50", "output": "8.00", "date": "2026-11-01"},
}
NIGHTLY = (1_500, 420, 380, 510)
"""New tickets of each night; all earlier ones lie beside them."""
MANUAL = 8_000
STARTED_S, ENDED_S, STOPPED_S, BUSY_TRIES = 180, 600, 15, 20
_SIMULATE = [
    "--latency", "lognormal:1.1,0.5", "--output-tokens", "lognormal:60,0.4", "--seed", "7",
    "--fault", "server_error=0.01", "--fault", "rate_limit=0.002", "--fault", "no_choices=0.04",
    "--fault", "bad_request=0.0015",
]  # fmt: skip
_TIMES = {
    "flow_run": ("created", "updated", "start_time", "end_time"),  # it was due at its night from the first
    "flow_run_state": ("created", "updated", "timestamp"),
    "task_run": ("created", "updated", "expected_start_time", "start_time", "end_time"),
    "artifact": ("created", "updated"),
    "artifact_collection": ("created", "updated"),
    "log": ("created", "updated", "timestamp"),
}

_THINGS = (
    "the invoice of last month", "a delivery to our second warehouse", "the export of our contacts",
    "the dashboard of the sales team", "our single sign-on", "the mobile app on two tablets", "the webhook of orders",
    "a refund that was promised", "the annual plan", "the printer labels", "the nightly import", "a shared calendar",
)  # fmt: skip
_EVENTS = (
    "has been missing since Monday", "shows an amount that we cannot explain", "stops halfway without a message",
    "arrived twice", "asks for a password that nobody set", "works for some of us and not for others",
    "is slower than it was a week ago", "was changed without any notice", "is exactly what we needed",
)  # fmt: skip
_MORE = (
    "We have tried it on three machines with the same outcome.",
    "Our finance team closes the month on Friday, so this is rather pressing.",
    "A colleague of yours said last week that it would be looked into.",
    "There is no hurry, but we would like to know what to expect.",
    "I attach what the log says, though it means little to me.",
    "Apart from this we are very happy with how things go.",
    "It began after we added the new office to our account.",
    "If it helps, we can give you access for an hour in the afternoon.",
    "The help pages describe a button that we do not have.",
)


@dataclass(frozen=True, slots=True)
class Stage:
    """The running server: where its pages, its API and its database are."""

    url: str
    database: Path
    api: httpx.Client
    provider_url: str

    def post(self, path: str, **body: Any) -> Any:
        """What the API answers."""
        for _ in range(BUSY_TRIES):
            answer = self.api.post(path, json=body)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(2)  # its database was just written to from here
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def deployment(self, name: str) -> str:
        """Its id."""
        return str(self.api.get(f"/deployments/name/batch-inference/{name}").raise_for_status().json()["id"])

    def keep_schedules(self, how: str) -> None:
        """`pause` or `resume` them: what comes due while pictures are taken would be in them."""
        for name in ("nightly", "hourly"):
            self.post(f"/deployments/{self.deployment(name)}/{how}_deployment")

    def save_block(self) -> None:
        """The provider, by the name that the deployments have."""
        _python(
            "from prefect_llm import LLMProvider\n"
            f"LLMProvider(base_url={self.provider_url!r}, model={MODEL!r}, concurrency=80, prices={PRICES!r},\n"
            "    requests_per_minute=10_000, tokens_per_minute=2_000_000).save('production')\n"
        )

    def cancelled(self, flow_run: str) -> None:
        """End it."""
        self.post(f"/flow_runs/{flow_run}/set_state", state={"type": "CANCELLED"}, force=True)

    def state(self, flow_run: str) -> str:
        """The type of its state."""
        return str(self.api.get(f"/flow_runs/{flow_run}").raise_for_status().json()["state"]["type"])

    def artifacts(self, flow_run: str) -> dict[str, str]:
        """The ids of a flow run's artifacts by key."""
        found = self.post("/artifacts/filter", artifacts={"flow_run_id": {"any_": [flow_run]}})
        return {each["key"]: each["id"] for each in found}

    def started(self, deployment: str, parameters: dict[str, Any], at: datetime | None = None) -> str:
        """The id of a new flow run, due now or at the time."""
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": (at or datetime.now(UTC)).isoformat()}}
        path = f"/deployments/{self.deployment(deployment)}/create_flow_run"
        return str(self.post(path, state=state, parameters=parameters)["id"])

    def ended(self, flow_run: str) -> None:
        """Wait for its end, which must be a good one."""
        until(lambda: self.state(flow_run) in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"), ENDED_S)
        if self.state(flow_run) != "COMPLETED":
            raise RuntimeError(f"flow run {flow_run}: {self.api.get(f'/flow_runs/{flow_run}').json()['state']}")


@contextmanager
def staged() -> Iterator[Stage]:
    """All of it, until the block ends. Raises where /srv/llm is there already."""
    SRV.mkdir(parents=True)
    try:
        with ExitStack() as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ui-stage-")))
            port, provider_port = _free_port(), _free_port()
            url, provider_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{provider_port}"
            os.environ |= _settings(home, f"{url}/api")
            stack.enter_context(_running("prefect", "server", "start", "--port", str(port)))
            until(lambda: _answers(f"{url}/api/health"), STARTED_S)
            stack.enter_context(_running("prefect-llm", "simulate", "--port", str(provider_port), *_SIMULATE))
            until(lambda: _answers(f"{provider_url}/stats"), STARTED_S)
            _command("prefect", "block", "register", "-m", "prefect_llm.blocks")
            _command("prefect", "work-pool", "create", "llm", "--type", "process")
            stack.enter_context(_running("prefect", "worker", "start", "--pool", "llm", "--name", "llm-1"))
            _command("prefect", "--no-prompt", "deploy", "--all", cwd=ROOT / "deployments")
            with httpx.Client(base_url=f"{url}/api", timeout=60) as api:
                stage = Stage(url, home / "prefect.db", api, f"{provider_url}/v1")
                stage.keep_schedules("pause")
                yield stage
    finally:
        shutil.rmtree(SRV)


def run_nights(stage: Stage) -> list[str]:
    """The flow runs of the nights up to this one, each over what had come in by then."""
    (SRV / "documents").mkdir()
    tonight = datetime.now(UTC).replace(hour=2, minute=0, second=0, microsecond=0)
    flow_runs = []
    first = 100_000
    for number, tickets in enumerate(NIGHTLY):
        night = tonight - timedelta(days=len(NIGHTLY) - 1 - number)
        write_tickets(SRV / f"documents/tickets-{night - timedelta(days=1):%Y-%m-%d}.parquet", tickets, first)
        first += tickets
        flow_run = stage.started("nightly", {}, night)
        stage.ended(flow_run)
        _set_back(stage.database, flow_run, night + timedelta(seconds=3))
        flow_runs.append(flow_run)
    return flow_runs


def write_tickets(path: Path, count: int, first: int) -> None:
    """So many tickets, the same each time; a few have no text, and urgent ones ask for the better model."""
    chosen = random.Random(first)
    rows = []
    for number in range(first, first + count):
        urgent = chosen.random() < 0.06
        sentences = [f"Hello, {chosen.choice(_THINGS)} {chosen.choice(_EVENTS)}.", *chosen.choices(_MORE, k=7)]
        text = " ".join(sentences[: chosen.randint(2, 8)]) if chosen.random() > 0.0006 else None
        rows.append(
            {
                "id": f"T-{number}",
                "priority": "urgent" if urgent else "normal",
                "text": text,
                "ask": f'{{"model": "{BETTER_MODEL}"}}' if urgent else None,
            }
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def create_automations() -> None:
    """The ready-made ones; the message goes nowhere."""
    _python(
        "from prefect.blocks.notifications import SlackWebhook\n"
        "SlackWebhook(url='https://hooks.slack.com/services/none').save('team')\n"
    )
    _command("prefect-llm", "automations", "create", "--notify", "slack-webhook/team")


def until(look: Callable[[], bool], most_s: float) -> None:
    """Look every second until it is so."""
    end = time.monotonic() + most_s
    while not look():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {most_s:g} s")
        time.sleep(1)


def _python(code: str) -> None:
    """In a process of its own: this one must not have settings of Prefect from before."""
    _command("python", "-c", code)


def _set_back(database: Path, flow_run: str, start: datetime) -> None:
    """Move all that the server holds of a flow run, so that it began at `start`."""
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        [began] = connection.execute("SELECT start_time FROM flow_run WHERE id = ?", [flow_run]).fetchone()
        seconds = (start - datetime.fromisoformat(began).replace(tzinfo=UTC)).total_seconds()
        for table, columns in _TIMES.items():
            owner = "id" if table == "flow_run" else "flow_run_id"
            moved = ", ".join(
                f"{each} = strftime('%Y-%m-%d %H:%M:%f000', {each}, '{seconds:.0f} seconds')" for each in columns
            )
            connection.execute(f"UPDATE {table} SET {moved} WHERE {owner} = ?", [flow_run])


def _settings(home: Path, api_url: str) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": api_url,
        "PREFECT_UI_API_URL": api_url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


@contextmanager
def _running(command: str, *arguments: str) -> Iterator[None]:
    with subprocess.Popen([_beside(command), *arguments], start_new_session=True) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=STOPPED_S)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _command(command: str, *arguments: str, cwd: Path = ROOT) -> None:
    subprocess.run([_beside(command), *arguments], cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def _beside(command: str) -> str:
    return str(Path(sys.executable).with_name(command))


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
