"""compose.yaml's four services as processes: its commands, its environment, its health checks, on loopback ports.

No container engine is needed, but Postgres and Redis are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pyarrow.dataset as ds
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr
from tests.conftest import WriteDocuments
from tests.deployments.containers import Containers, documented_commands
from tests.deployments.databases import Postgres, Redis, postgres_server, program, redis_server
from tests.deployments.starting import RUN_S, Parameters, is_final
from tests.prefect_server import eventually
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm import LLMProvider, batch_inference

PASSWORD = "of-the-tests"
KEY = "sk-of-the-block"
UI_URL = "https://prefect.example.org"
LEASES = "prefect:concurrency:lease:*"


@dataclass(frozen=True, slots=True)
class Stack:
    """All that compose.yaml starts, running; the client asks its server."""

    containers: Containers
    postgres: Postgres
    redis: Redis
    client: SyncPrefectClient

    def slots_in_use(self, block: str) -> int:
        """Of the limit that all processes share."""
        return self.client.read_global_concurrency_limit_by_name(f"llm-{block}").active_slots

    def start(self, deployment: str, parameters: Parameters) -> UUID:
        """A run that the worker is to carry out."""
        found = self.client.read_deployment_by_name(f"{batch_inference.name}/{deployment}")
        return self.client.create_flow_run_from_deployment(found.id, parameters=parameters).id


@pytest.fixture(scope="module")
def stack(
    image: Path, scripted_server_process: ScriptedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    missing = [name for name in ("initdb", "redis-server") if not program(name)]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: Debian has postgresql and redis-server")
    given = {
        "POSTGRES_PASSWORD": PASSWORD,
        "PREFECT_LLM_BASE_URL": scripted_server_process.base_url,
        "PREFECT_UI_URL": UI_URL,
    }
    containers = Containers(image, tmp_path_factory.mktemp("containers"), given)
    api_url = f"http://127.0.0.1:{containers.port('server')}/api"
    with (
        postgres_server(containers.port("postgres"), PASSWORD) as postgres,
        redis_server(containers.port("redis")) as redis,
        containers.started("server"),
        containers.started("worker"),
        temporary_settings({PREFECT_API_URL: api_url}),
        get_client(sync_client=True) as client,
    ):
        yield Stack(containers, postgres, redis, client)


@pytest.fixture(scope="module")
def said(stack: Stack, scripted_server_process: ScriptedServer) -> list[str]:
    """By each of the commands that the file's head has run in the worker, one after the other."""
    scripted_server_process.reset()
    scripted_server_process.answer_json({"label": "positive"})
    return [stack.containers.exec("worker", command) for command in documented_commands()]


def test_each_command_at_its_head_does_what_it_says(stack: Stack, said: list[str]) -> None:
    assert stack.client.read_block_type_by_slug("llm-provider").name == "LLM Provider"
    assert [text.count("successfully created") for text in said] == [0, 6, 0, 0], said
    assert [text.count("created: ") for text in said] == [0, 0, 2, 0], said
    (results,) = stack.containers.path("worker", "/srv/llm/runs").glob("*/results")
    rows = ds.dataset(results).to_table(["status", "output"]).to_pylist()
    assert rows == [{"status": "ok", "output": {"label": "positive"}}] * 60
    assert f"View at {UI_URL}/runs/flow-run/" in said[3]


@pytest.mark.usefixtures("said")
def test_a_deployment_s_run_holds_its_limits_in_redis_and_completes(
    stack: Stack, scripted_server: ScriptedServer, write_documents: WriteDocuments, tmp_path: Path
) -> None:
    block = LLMProvider(base_url=scripted_server.base_url, api_key=SecretStr(KEY), model="m")
    block.save("production", overwrite=True)
    scripted_server.expect_key(KEY)
    scripted_server.script_all(steps.hang(steps.ok("yes")))

    parameters: Parameters = {"input": write_documents(100), "output": str(tmp_path / "run")}
    flow_run_id = stack.start("nightly", parameters | {"batch": {"concurrency": 10}})
    scripted_server.wait_for(in_flight=10, timeout_s=RUN_S)
    assert stack.slots_in_use("production") == 10
    assert stack.redis.names(LEASES)
    scripted_server.script_all(steps.ok("yes"))
    scripted_server.release()

    flow_run = eventually(lambda: stack.client.read_flow_run(flow_run_id), is_final, RUN_S)
    assert flow_run.state_name == "Completed", stack.containers.log("worker").read_text()
    rows = ds.dataset(tmp_path / "run" / "results").to_table(["id", "content"]).to_pylist()
    assert rows == [{"id": f"d{row}", "content": "yes"} for row in range(100)]
    assert KEY not in stack.postgres.dump()
    eventually(lambda: stack.slots_in_use("production"), lambda slots: slots == 0)
    eventually(lambda: stack.redis.names(LEASES), lambda leases: not leases)


@pytest.mark.usefixtures("said")
def test_what_the_server_knows_is_in_postgres_and_what_it_is_about_to_do_in_redis(stack: Stack) -> None:
    assert batch_inference.name in stack.postgres.dump()
    assert stack.redis.names("events")
    assert stack.redis.names("prefect-server:*", database=1)
