"""deployments/prefect.yaml carried out as its comments say: pool, deploy, worker, each by Prefect's own command."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import Flow
from prefect.client.schemas.actions import WorkPoolCreate
from tests.conftest import WriteDocuments
from tests.deployments.containers import install
from tests.deployments.starting import Parameters
from tests.prefect_server import PrefectServer
from tests.scripted_server.client import ScriptedServer

from prefect_llm import LLMProvider, batch_inference, estimate_cost, redrive_failures

DEPLOYMENTS = Path(__file__).resolve().parents[2] / "deployments"
KEY = "sk-of-the-worker"
KEY_VARIABLE = "TEST_WORKER_KEY"
COMMAND_S = 120.0
WITH_SIGINT = ("env", "--default-signal=INT")
"""Background jobs of a shell ignore SIGINT, and a worker that inherits that never stops: it sends itself SIGINT."""


@pytest.fixture(scope="session")
def deployed(prefect_server: PrefectServer) -> PrefectServer:
    """The server once both deployments are registered."""
    LLMProvider.register_type_and_schema()
    prefect("work-pool", "create", "llm", "--type", "prefect-llm", "--overwrite", server=prefect_server)
    said = prefect("deploy", "--all", server=prefect_server)
    assert "Traceback" not in said, said
    return prefect_server


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment that the Dockerfile's commands make, installed once for all processes that run these tests."""
    own = tmp_path_factory.getbasetemp()
    of_all = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    target, done = of_all / "image" / "prefect-llm", of_all / "image" / "done"
    target.parent.mkdir(exist_ok=True)
    with (of_all / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            install(of_all / "image" / "context", target)
            done.touch()
    return target


@pytest.fixture
def parameters(write_documents: WriteDocuments, tmp_path: Path, scripted_server: ScriptedServer) -> Parameters:
    scripted_server.expect_key(KEY)
    return {
        "input": write_documents(100),
        "output": f"{tmp_path}/{{flow_run_id}}",
        "model": "m",
        "prompt": "Say: {{ text }}",
        "api": {"base_url": scripted_server.base_url, "api_key_env": KEY_VARIABLE},
        "batch": {"chunk_rows": 30, "concurrency": 10},
    }


@pytest.fixture(scope="session")
def worker(deployed: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A worker of the pool, and the file with its log."""
    log = tmp_path_factory.mktemp("worker") / "log"
    with working(deployed, "llm", log):
        yield log


@contextmanager
def working(server: PrefectServer, pool: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of that pool, which writes its log there."""
    environ = server.environ | {KEY_VARIABLE: KEY, "PREFECT_WORKER_QUERY_SECONDS": "0.5"}
    command = [*WITH_SIGINT, sys.executable, "-m", "prefect", "worker", "start", "--pool", pool]
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=log.parent, env=environ, stdout=file, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def deployed_on(server: PrefectServer, pool: str, kind: str) -> Iterator[UUID]:
    """The deployment `manual` once more, on a work pool of its own."""
    with server.client() as client:
        client.create_work_pool(WorkPoolCreate(name=pool, type=kind), overwrite=True)
        manual = client.read_deployment_by_name(f"{batch_inference.name}/manual")
        copy = client.create_deployment(
            manual.flow_id,
            f"manual-on-{pool}",
            work_pool_name=pool,
            entrypoint=manual.entrypoint,
            job_variables=manual.job_variables,
            parameter_openapi_schema=manual.parameter_openapi_schema,
        )
        yield copy
        client.delete_deployment(copy)
        client.delete_work_pool(pool)


def flow_of(deployment: str) -> Flow[..., Any]:
    """The flow that the deployment of that name runs."""
    others: dict[str, Flow[..., Any]] = {"redrive": redrive_failures, "estimate": estimate_cost}
    return others.get(deployment, batch_inference)


def prefect(*arguments: str, server: PrefectServer) -> str:
    """What one `prefect` command says, run from deployments/ without a terminal; it has to succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments],
        cwd=DEPLOYMENTS,
        env=server.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
