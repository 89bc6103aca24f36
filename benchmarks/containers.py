"""The image and the stack of deployments/docker, built and run from a clean clone, with containers that are stopped.

The container of a worker, or of a run, is stopped while the run has 100 requests in flight: the run should be
Completed without a hand, with every row once, and no more asked twice than was in flight. `make containers` needs
podman, and a registry or mmdebstrap for base images of Debian's packages (`container_bases.sh`). It takes minutes.
`python benchmarks/containers.py 20` stops twenty workers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import sync_playwright
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.settings import PREFECT_API_URL, temporary_settings
from simulated import SimulatedProvider, simulated_provider
from tables import Table, heading

from prefect_llm import LLMProvider

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = ROOT / ".venv-bench" / "containers" / "bin" / "podman-compose"
IMAGE, CERTIFICATES = "prefect-llm:0.1.0", "/etc/ssl/certs/ca-certificates.crt"
API, UI = "http://127.0.0.1:4200/api", "http://127.0.0.1:4200"
UIS = ("/deployments", "/v2/deployments")
WORKERS = ("prefect-llm_worker_1", "prefect-llm_worker_2")
SERVICES = ("prefect-llm_postgres_1", "prefect-llm_redis_1", "prefect-llm_server_1", *WORKERS)
HOST = "host.containers.internal"
ANSWERS = "/srv/llm/answers"
COUNT_IDS = (
    "import sys, pyarrow.dataset as ds; print(len(ds.dataset(sys.argv[1]).to_table(columns=['id'])['id'].unique()))"
)
IN_FLIGHT, ROWS_PER_STOP = 100, 2_500
STOPS = 3
HEALTHY_WITHIN_S, SOON_S, RUN_S = 180.0, 120.0, 1_800.0

_Seen = TypeVar("_Seen")

Saw = Callable[[str, object, object], None]
"""Says in a row what was tried, what was seen, and what should have been."""


def main() -> None:
    """Build, start, try, print a row for each outcome."""
    heading("Containers", __doc__)
    stops = int(sys.argv[1]) if len(sys.argv) > 1 else STOPS
    table, missed = Table("what", "seen", "as it should"), 0

    def saw(what: str, seen: object, wanted: object) -> None:
        nonlocal missed
        missed += seen != wanted
        table.row(what, seen, "yes" if seen == wanted else f"no: {wanted}")

    options = ("--host", "0.0.0.0", "--latency", "1", "--output-tokens", "20")
    with tempfile.TemporaryDirectory() as folder, simulated_provider(*options) as provider:
        clone = cloned(Path(folder))
        size_mb = built(clone)
        saw(f"image of at most 800 MB: {size_mb:.0f}", size_mb <= 800, True)
        with started(clone, provider), temporary_settings({PREFECT_API_URL: API}):
            saw("healthy", healthy(), len(SERVICES))
            saw("the workers' pool is there", _eventually(_has_pool, bool, SOON_S), True)
            for command, wanted in documented(clone):
                saw(command[:34], wanted in _compose(clone, "exec", "worker", *command.split()), True)
            for path in UIS:
                saw(f"a browser shows {path}", *opened(path))
            stop_workers(stops, provider, saw)
            stop_a_run_s_container(clone, provider, saw)
    print(f"\n- outcomes other than they should be: {missed}", flush=True)
    sys.exit(1 if missed else 0)


def cloned(folder: Path) -> Path:
    """What is committed, and nothing else."""
    clone = folder / "clone"
    _run("git", "clone", "--quiet", str(ROOT), str(clone))
    return clone


def built(clone: Path) -> float:
    """Build the image by the real file; its size in MB."""
    if shutil.which("mmdebstrap"):
        _run("bash", str(ROOT / "benchmarks" / "container_bases.sh"))
    trusted = ("--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro", "--env", f"PIP_CERT={CERTIFICATES}")
    file = ("--file", "deployments/docker/Dockerfile", "--tag", IMAGE)
    _run("podman", "build", "--quiet", "--format", "docker", "--network", "host", *trusted, *file, ".", cwd=clone)
    return int(_run("podman", "image", "inspect", "--format", "{{.Size}}", IMAGE)) / 1e6


@contextmanager
def started(clone: Path, provider: SimulatedProvider) -> Iterator[None]:
    """The stack with two workers, its settings where the file's head says."""
    settings = (clone / "deployments" / "docker" / ".env.example").read_text()
    settings = settings.replace("POSTGRES_PASSWORD=", "POSTGRES_PASSWORD=ofThisTry")
    settings = settings.replace("PREFECT_LLM_BASE_URL=", f"PREFECT_LLM_BASE_URL=http://{HOST}:{_port(provider)}/v1")
    (clone / "deployments" / "docker" / ".env").write_text(settings)
    try:
        _compose(clone, "up", "--detach", "--scale", "worker=2")
        yield
    finally:
        for name in reversed(
            SERVICES
        ):  # podman-compose forgets scaled containers, and podman removes dependents first
            _run("podman", "rm", "--force", "--ignore", "--time", "5", name)
        _compose(clone, "down", "--volumes")


def healthy() -> int:
    """How many of the containers become healthy: podman without systemd runs no check by itself."""

    def count() -> int:
        checks = [subprocess.run(["podman", "healthcheck", "run", name], capture_output=True) for name in SERVICES]
        return sum(check.returncode == 0 for check in checks)

    return _eventually(count, lambda seen: seen == len(SERVICES), HEALTHY_WITHIN_S)


def documented(clone: Path) -> list[tuple[str, str]]:
    """The commands at the head of compose.yaml that run in the worker, and a word that each should say."""
    head = (clone / "deployments" / "docker" / "compose.yaml").read_text().split("\nname:")[0].splitlines()
    intro = "#   docker compose exec worker "
    commands = [line.removeprefix(intro) for line in head if line.startswith(intro)]
    return list(zip(commands, ("LLM Provider", "redrive", "created", "60 of 60"), strict=True))


def opened(path: str) -> tuple[str, str]:
    """What a browser shows of a page of deployments, and what it should; no browser, no page."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        return "no browser", "on-new-files"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        try:
            shown = browser.new_page().locator("text=on-new-files").first
            shown.page.goto(UI + path)
            shown.wait_for(timeout=SOON_S * 1_000)
            return shown.inner_text(), "on-new-files"
        except PlaywrightError as error:
            return str(error).splitlines()[0], "on-new-files"
        finally:
            browser.close()


def stop_workers(stops: int, provider: SimulatedProvider, saw: Saw) -> None:
    """One run; the container of its worker is stopped and started so many times under load."""
    slowest_s = 0.0
    with get_client(sync_client=True) as client:
        run = _start(client, provider, "manual", ROWS_PER_STOP * stops)
        for number in range(stops):
            _wait_for_requests(provider, IN_FLIGHT * 2)
            owner, began = _owner(run.name), time.monotonic()
            _run("podman", "stop", "--time", "60", owner)
            took_s = time.monotonic() - began
            slowest_s = max(slowest_s, took_s)
            print(f"<!-- {number + 1}: {owner} stopped in {took_s:.1f} s -->", flush=True)
            _run("podman", "start", owner)
        _say_outcome(client, run, provider, stops, saw)
    saw(f"slowest stop in 30 s: {slowest_s:.1f} s", slowest_s < 30, True)


def stop_a_run_s_container(clone: Path, provider: SimulatedProvider, saw: Saw) -> None:
    """A pool of the type docker, over podman's API; the container of a run is stopped under load."""
    with _docker_worker(clone), get_client(sync_client=True) as client:
        run = _start(client, provider, "in-a-container", ROWS_PER_STOP)
        _wait_for_requests(provider, IN_FLIGHT * 2)
        (name,) = set(_run("podman", "ps", "--format", "{{.Names}}").split()) - set(SERVICES)
        _run("podman", "stop", "--time", "60", name)
        _say_outcome(client, run, provider, 1, saw)


@dataclass(frozen=True, slots=True)
class Try:
    """A flow run of so many rows; its directory has the name."""

    flow_run_id: UUID
    name: str
    rows: int


def _start(client: SyncPrefectClient, provider: SimulatedProvider, deployment: str, rows: int) -> Try:
    _save_block(provider)
    name = f"{deployment}-{rows}"
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as documents:
        documents.writelines(json.dumps({"id": f"d{row}", "text": f"document {row}"}) + "\n" for row in range(rows))
        documents.flush()
        Path(documents.name).chmod(0o644)
        _run("podman", "cp", documents.name, f"{WORKERS[0]}:/srv/llm/{name}.jsonl")
    provider.reset()
    parameters = {"input": f"/srv/llm/{name}.jsonl", "output": f"{ANSWERS}/{name}", "provider": "production"}
    asked = {"prompt": "{{ text }}", "batch": {"concurrency": IN_FLIGHT}}
    found = client.read_deployment_by_name(f"batch-inference/{deployment}")
    return Try(client.create_flow_run_from_deployment(found.id, parameters=parameters | asked).id, name, rows)


def _say_outcome(client: SyncPrefectClient, run: Try, provider: SimulatedProvider, stops: int, saw: Saw) -> None:
    def look() -> FlowRun:
        return client.read_flow_run(run.flow_run_id)

    ended = _eventually(look, lambda seen: seen.state is not None and seen.state.is_final(), RUN_S)
    crashed = sum(state.type == StateType.CRASHED for state in client.read_flow_run_states(run.flow_run_id))
    written = int(_run("podman", "exec", WORKERS[0], "python", "-c", COUNT_IDS, f"{ANSWERS}/{run.name}/results"))
    twice = provider.stats()["requests"] - run.rows
    saw(f"{run.name}, stopped {stops} times", ended.state_name, "Completed")
    saw("times that it crashed meanwhile", crashed, 0)
    saw("rows missing", run.rows - written, 0)
    saw(f"asked twice, at most {stops} x {IN_FLIGHT}: {twice}", 0 <= twice <= stops * IN_FLIGHT, True)


def _wait_for_requests(provider: SimulatedProvider, more: int) -> None:
    wanted = provider.stats()["requests"] + more
    _eventually(lambda: bool(provider.stats()["requests"] >= wanted), bool, SOON_S)


def _save_block(provider: SimulatedProvider) -> None:
    settings: dict[str, Any] = {"base_url": f"http://{HOST}:{_port(provider)}/v1", "api_key": "sk", "model": "any"}
    LLMProvider(**settings).save("production", overwrite=True)


def _port(provider: SimulatedProvider) -> str:
    return provider.url.rsplit(":", 1)[1].removesuffix("/v1")


def _owner(name: str) -> str:
    """The container whose process holds the run: a container's host name is the beginning of its id."""
    lease = json.loads(_run("podman", "exec", WORKERS[0], "sh", "-c", f"cat {ANSWERS}/{name}/_run/lease/*.json"))
    hosts = {_run("podman", "exec", worker, "hostname").strip(): worker for worker in WORKERS}
    return hosts[lease["process"]["host"]]


@contextmanager
def _docker_worker(clone: Path) -> Iterator[None]:
    """A worker on this machine, of the pool that deployments/docker/prefect.yaml names."""
    socket = f"unix://{clone}/podman.sock"
    environ = {name: value for name, value in os.environ.items() if name != "PREFECT_HOME"}
    environ |= {"DOCKER_HOST": socket, "PREFECT_API_URL": API}
    prefect = [sys.executable, "-m", "prefect"]
    started = ["worker", "start", "--pool", "llm-containers"]
    with subprocess.Popen(["podman", "system", "service", "--time=0", socket]) as service:
        for command in (
            ["work-pool", "create", "llm-containers", "--type", "docker"],
            ["--no-prompt", "deploy", "--all", "--prefect-file", "deployments/docker/prefect.yaml"],
        ):
            subprocess.run([*prefect, *command], cwd=clone, env=environ, check=True, stdout=subprocess.DEVNULL)
        with (clone / "worker.log").open("w") as log:
            worker = subprocess.Popen([*prefect, *started], cwd=clone, env=environ, stdout=log, stderr=log)
            try:
                yield
            finally:
                worker.kill()
                worker.wait()
                service.terminate()


def _has_pool() -> bool:
    """podman-compose starts workers before the server is healthy; they look for it again every half minute."""
    with get_client(sync_client=True) as client:
        return any(pool.name == "llm" for pool in client.read_work_pools())


def _compose(clone: Path, *arguments: str) -> str:
    return _run(str(COMPOSE), "--podman-pull-args=--policy=never", *arguments, cwd=clone / "deployments" / "docker")


def _run(*command: str, cwd: Path | None = None) -> str:
    ended = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {"PODMAN_COMPOSE_WARNING_LOGS": "false"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)}: {ended.stdout[-3_000:]}")
    return ended.stdout


def _eventually(look: Callable[[], _Seen], holds: Callable[[_Seen], bool], within_s: float) -> _Seen:
    until = time.monotonic() + within_s
    while not holds(seen := look()) and time.monotonic() < until:
        time.sleep(0.5)
    return seen


if __name__ == "__main__":
    main()
