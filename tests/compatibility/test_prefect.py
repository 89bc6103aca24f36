"""What a Prefect server has stored for an earlier build is used by this one: saved blocks, and deployments."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.dataset as ds
import pytest
from tests.compatibility.frozen import FrozenRun, asked_of
from tests.compatibility.stored import Stored, every_stored, said
from tests.prefect_server import PrefectServer
from tests.scripted_server.client import ScriptedServer

from prefect_llm import LLMProvider

COMMAND_S = 120
POOL = {"name": "llm", "type": "process", "base_job_template": {}}

pytestmark = pytest.mark.parametrize("stored", every_stored(), ids=lambda stored: stored.build)


@pytest.fixture
def api(prefect_server: PrefectServer) -> Iterator[httpx.Client]:
    """The REST API itself; Prefect's client asks again while the database is busy, and raises what is no success."""
    with prefect_server.client() as client:
        yield client._client


@pytest.fixture
def saved(api: httpx.Client, stored: Stored, scripted_server: ScriptedServer) -> dict[str, Any]:
    """The block's documents by name, put back as they were stored; only the address is the scripted server's."""
    kind, schema, documents = stored.block["block_type"], stored.block["block_schema"], stored.block["documents"]
    type_id = made(api, "/block_types", kind, f"/block_types/slug/{kind['slug']}")
    fields = {"block_type_id": type_id} | {name: schema[name] for name in schema if name != "checksum"}
    schema_id = said(api.post("/block_schemas/", json=fields))["id"]
    assert said(api.get(f"/block_schemas/{schema_id}"))["checksum"] == schema["checksum"]
    put_back = {name: data | {"base_url": scripted_server.base_url} for name, data in documents.items()}
    for name, data in put_back.items():
        remove_document(api, kind["slug"], name)
        document = {"name": name, "data": data, "block_type_id": type_id, "block_schema_id": schema_id}
        said(api.post("/block_documents/", json=document))
    scripted_server.expect_key(documents["production"]["api_key"])
    return put_back


@pytest.mark.parametrize("name", ["production", "bare"])
def test_a_saved_block_is_loaded_with_every_setting_it_had(saved: dict[str, Any], name: str) -> None:
    """The name of a document's deadline may be another by now."""
    block = LLMProvider.load(name)
    assert isinstance(block, LLMProvider)
    loaded = block.model_dump(mode="json", context={"include_secrets": True})
    loaded["deadline"] = loaded.get("document_deadline", loaded.get("deadline"))
    assert {field: loaded[field] for field in saved[name]} == saved[name]


def test_a_saved_block_gives_a_provider_that_answers(saved: dict[str, Any], scripted_server: ScriptedServer) -> None:
    """With its key and its headers."""
    block = LLMProvider.load("production")
    assert isinstance(block, LLMProvider)
    block.verify()
    received = scripted_server.log()[-1]
    assert received.headers["authorization"] == f"Bearer {saved['production']['api_key']}"
    assert received.headers["x-tenant"] == "seven"


def test_a_stored_deployment_of_a_night_completes(
    saved: dict[str, Any], stored: Stored, api: httpx.Client, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    """Over the documents of a frozen run, asking the saved block that its parameters name."""
    (tmp_path / "run").mkdir()
    folder = FrozenRun(stored.build, "finished").copy_to(tmp_path / "run")
    paths = {"input": f"{folder}/input/in.jsonl", "output": f"{tmp_path}/nights/{{scheduled:%Y}}"}
    carry_out(prefect_server, api, stored, "batch-inference/nightly", paths)
    (night,) = (tmp_path / "nights").iterdir()
    rows = ds.dataset(night / "results").to_table(["id", "content"]).to_pylist()
    assert len(rows) == len({row["id"] for row in rows}) == 12
    assert rows[7]["content"] == "echo: Summarise in one sentence: doc-7 hello"


def test_a_stored_deployment_redrives_the_run_of_then(
    saved: dict[str, Any],
    stored: Stored,
    api: httpx.Client,
    prefect_server: PrefectServer,
    scripted_server: ScriptedServer,
    tmp_path: Path,
) -> None:
    """Its failed rows are asked, and those alone."""
    folder = FrozenRun(stored.build, "failed_rows").copy_to(tmp_path)
    parameters = {"output": f"{folder}/out", "only": ["rejected", "refused"], "batch": {"max_error_share": 1}}
    carry_out(prefect_server, api, stored, "redrive-failures/redrive", parameters)
    assert asked_of(scripted_server) == {"doc-1": 1, "doc-7": 1}


def test_a_stored_deployment_estimates_and_asks_nothing(
    saved: dict[str, Any],
    stored: Stored,
    api: httpx.Client,
    prefect_server: PrefectServer,
    scripted_server: ScriptedServer,
    tmp_path: Path,
) -> None:
    """By the prices of the saved block."""
    folder = FrozenRun(stored.build, "finished").copy_to(tmp_path)
    carry_out(prefect_server, api, stored, "estimate-cost/estimate", {"input": f"{folder}/input/in.jsonl"})
    assert asked_of(scripted_server) == {}


def carry_out(
    server: PrefectServer, api: httpx.Client, stored: Stored, name: str, parameters: dict[str, Any]
) -> None:
    """A run of the deployment, created as it was stored, in a process of its own as a worker would have it."""
    flow_id = said(api.post("/flows/", json={"name": name.partition("/")[0]}))["id"]
    made(api, "/work_pools", POOL, f"/work_pools/{POOL['name']}")
    deployment = stored.deployments[name] | {"flow_id": flow_id, "name": f"of-{stored.build}"}
    deployment_id = said(api.post("/deployments/", json=deployment))["id"]
    run = said(api.post(f"/deployments/{deployment_id}/create_flow_run", json={"parameters": parameters}))
    command = [sys.executable, "-m", "prefect", "flow-run", "execute", run["id"]]
    done = subprocess.run(
        command,
        env=server.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    ended = said(api.get(f"/flow_runs/{run['id']}"))
    assert (done.returncode, ended["state_type"], ended["state_name"]) == (0, "COMPLETED", "Completed"), done.stdout


def made(api: httpx.Client, path: str, content: dict[str, Any], place: str) -> str:
    """The id of what is made there, or was before: other tests use the same server."""
    try:
        answer = said(api.post(f"{path}/", json=content))
    except httpx.HTTPStatusError as error:
        if error.response.status_code != httpx.codes.CONFLICT:
            raise
        answer = said(api.get(place))
    return str(answer["id"])


def remove_document(api: httpx.Client, slug: str, name: str) -> None:
    """The one that another test may have saved by that name."""
    documents = said(api.get(f"/block_types/slug/{slug}/block_documents"))
    for document in documents:
        if document["name"] == name:
            api.delete(f"/block_documents/{document['id']}")
