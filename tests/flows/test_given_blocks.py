"""A provider given to a deployment's run: a saved block goes as its reference, and no key goes at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.flow_engine import run_flow_sync
from prefect.types.entrypoint import EntrypointType
from pydantic import SecretStr
from tests.flows.running import Parameters
from tests.prefect_server import PrefectServer
from tests.scripted_server.client import ScriptedServer

from prefect_llm import InvalidInput, LLMProvider, Summary, batch_inference

KEY = "sk-must-not-lie-there-4410"
HEADER = "header-must-not-lie-there-4410"
NAME = f"{batch_inference.name}/given-blocks"


@pytest.fixture
def deployed(prefect_server: PrefectServer) -> Iterator[None]:
    LLMProvider.register_type_and_schema()
    deployment = batch_inference.to_deployment("given-blocks", entrypoint_type=EntrypointType.MODULE_PATH)
    deployment_id = cast(Any, deployment).apply()
    yield
    with prefect_server.client() as client:
        client.delete_deployment(deployment_id)


@pytest.fixture
def block(parameters: Parameters, deployed: None) -> LLMProvider:
    base_url = parameters.pop("api")["base_url"]
    headers: Any = {"x-tenant": HEADER}
    return LLMProvider(base_url=base_url, api_key=SecretStr(KEY), headers=headers)


def _started(parameters: Parameters) -> FlowRun:
    return cast(FlowRun, run_deployment(NAME, parameters=parameters, timeout=0))


def _carried_out(flow_run: FlowRun) -> Summary:
    """As a worker's process does it, with the parameters that the server has."""
    return cast(Summary, run_flow_sync(batch_inference, flow_run=flow_run, parameters=flow_run.parameters))


def test_a_loaded_block_is_given_by_reference(
    block: LLMProvider, parameters: Parameters, scripted_server: ScriptedServer, prefect_server: PrefectServer
) -> None:
    block.save("given", overwrite=True)
    scripted_server.expect_key(KEY)
    flow_run = _started(parameters | {"provider": LLMProvider.load("given")})
    assert list(flow_run.parameters["provider"]) == ["$ref"]
    assert _carried_out(flow_run).totals.ok == 100
    prefect_server.settled()
    assert prefect_server.rows_with(KEY) + prefect_server.rows_with(HEADER) == []


def test_a_block_that_was_never_saved_is_refused_without_its_key(
    block: LLMProvider, parameters: Parameters, scripted_server: ScriptedServer, prefect_server: PrefectServer
) -> None:
    flow_run = _started(parameters | {"provider": block})
    with pytest.raises(InvalidInput, match="save the block, and give its name"):
        _carried_out(flow_run)
    assert scripted_server.stats().requests == 0
    prefect_server.settled()
    assert prefect_server.rows_with(KEY) + prefect_server.rows_with(HEADER) == []


@pytest.mark.parametrize("secret", [{"api_key": KEY}, {"headers": {"x-tenant": HEADER}}], ids=["key", "header"])
def test_a_key_written_into_the_parameters_is_refused(
    secret: dict[str, Any], block: LLMProvider, parameters: Parameters, scripted_server: ScriptedServer
) -> None:
    flow_run = _started(parameters | {"provider": {"base_url": block.base_url, **secret}})
    with pytest.raises(InvalidInput, match="in plain text: replace that key, save the new one") as refused:
        _carried_out(flow_run)
    assert KEY not in str(refused.value)
    assert scripted_server.stats().requests == 0


def test_an_endpoint_without_a_key_may_be_written_into_them(block: LLMProvider, parameters: Parameters) -> None:
    flow_run = _started(parameters | {"provider": LLMProvider(base_url=block.base_url)})
    assert _carried_out(flow_run).totals.ok == 100
