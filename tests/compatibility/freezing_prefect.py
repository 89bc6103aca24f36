"""Makes `prefect/BUILD`: what a Prefect server stores of a block that this build saves, and of its deployments."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import httpx
from tests.blocks.making import make_block, make_price
from tests.compatibility.stored import Stored, said
from tests.deployments.conftest import prefect
from tests.prefect_server import PrefectServer, start_prefect

URL = "https://llm.example.com/v1"
KEY = "sk-frozen-and-fake"
TYPE = ("name", "slug", "logo_url", "documentation_url", "description", "code_example")
SCHEMA = ("checksum", "fields", "capabilities", "version")
DEPLOYMENTS = ("batch-inference/nightly", "redrive-failures/redrive", "estimate-cost/estimate")
DEPLOYMENT = (
    "name",
    "description",
    "entrypoint",
    "path",
    "pull_steps",
    "parameters",
    "parameter_openapi_schema",
    "enforce_parameter_schema",
    "tags",
    "work_pool_name",
    "work_queue_name",
    "job_variables",
    "concurrency_options",
)


def freeze_prefect(stored: Stored) -> None:
    """Save blocks and deploy on a server of its own, and write down what its API says of them."""
    with tempfile.TemporaryDirectory() as home, start_prefect(Path(home)) as server, server.client() as client:
        block = _saved(client._client)
        deployments = _deployed(client._client, server)
    stored.write("block.json", block)
    stored.write("deployments.json", deployments)


def _saved(api: httpx.Client) -> dict[str, Any]:
    """The type, the schema with its checksum, and two documents: every field given, and none but the first."""
    price = make_price(input="2", output="8", cached_input="0.5", date="2026-11-01", source="a contract")
    rates = {"requests_per_minute": 6000, "tokens_per_minute": 900_000, "token_accounting": "used"}
    limits = {"concurrency": 9, "max_concurrency": 99, "share_limits": False}
    patience = {"timeout": 60, "deadline": 90, "connect_timeout": 5, "max_attempts": 3, "outage_patience": 30}
    credentials = {"api_key": KEY, "headers": {"x-tenant": "seven"}}
    options = {**rates, **limits, **patience, **credentials}
    make_block(base_url=URL, model="m", prices={"m": price}, **options).save("production")
    make_block(base_url=URL).save("bare")
    documents = [_document(api, name) for name in ("production", "bare")]
    return {
        "block_type": _only(documents[0]["block_type"], TYPE),
        "block_schema": _only(documents[0]["block_schema"], SCHEMA),
        "documents": {document["name"]: document["data"] for document in documents},
    }


def _document(api: httpx.Client, name: str) -> dict[str, Any]:
    path = f"/block_types/slug/llm-provider/block_documents/name/{name}"
    document: dict[str, Any] = said(api.get(path, params={"include_secrets": True}))
    return document


def _deployed(api: httpx.Client, server: PrefectServer) -> dict[str, Any]:
    """By `prefect deploy --all` in deployments/, as its comments say."""
    prefect("work-pool", "create", "llm", "--type", "process", server=server)
    prefect("deploy", "--all", server=server)
    return {name: _only(said(api.get(f"/deployments/name/{name}")), DEPLOYMENT) for name in DEPLOYMENTS}


def _only(content: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Without ids and times, which are each server's own."""
    return {name: content[name] for name in names}
