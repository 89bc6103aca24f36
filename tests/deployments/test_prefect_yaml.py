"""What `prefect deploy --all`, run from deployments/, registers."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import BaseModel
from ruamel.yaml import YAML
from tests.deployments.conftest import DEPLOYMENTS, flow_of
from tests.prefect_server import PrefectServer

from prefect_llm.settings import ApiOptions, BatchOptions, DocumentOptions, MonitoringOptions, RunSettings

WRITTEN: dict[str, dict[str, Any]] = {
    each["name"]: each for each in YAML(typ="safe").load(DEPLOYMENTS / "prefect.yaml")["deployments"]
}


@pytest.fixture(params=sorted(WRITTEN))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def deployment(name: str, deployed: PrefectServer) -> DeploymentResponse:
    return read(deployed, name)


def read(server: PrefectServer, name: str) -> DeploymentResponse:
    with server.client() as client:
        return client.read_deployment_by_name(f"{flow_of(name).name}/{name}")


def test_the_deployments_are_four_of_a_run_and_one_each_to_redrive_and_to_estimate() -> None:
    assert sorted(WRITTEN) == ["estimate", "hourly", "manual", "nightly", "on-new-files", "redrive"]


def test_all_run_an_installed_flow_in_the_pool_llm(name: str, deployment: DeploymentResponse) -> None:
    flow = flow_of(name)
    assert deployment.entrypoint == f"{flow.fn.__module__}.{flow.fn.__name__}"
    assert deployment.work_pool_name == "llm"
    assert not deployment.pull_steps
    assert deployment.path in (None, "", ".")


def test_parameters_arrive_as_they_are_written(deployment: DeploymentResponse) -> None:
    """Prefect fills in `{{ name }}` in this file by itself: of a bare `{{ text }}` nothing would be left."""
    assert deployment.parameters == WRITTEN[deployment.name]["parameters"]


def test_nightly_runs_every_night_with_a_directory_per_night(deployed: PrefectServer) -> None:
    nightly = read(deployed, "nightly")
    [scheduled] = nightly.schedules
    assert scheduled.active
    assert isinstance(scheduled.schedule, CronSchedule)
    assert (scheduled.schedule.cron, scheduled.schedule.timezone) == ("0 2 * * *", "UTC")
    assert str(nightly.parameters["output"]).endswith("/{scheduled:%Y-%m-%d}")


def test_hourly_runs_every_hour_within_its_money_and_leaves_an_hour_out_rather_than_overlap(
    deployed: PrefectServer,
) -> None:
    hourly = read(deployed, "hourly")
    [scheduled] = hourly.schedules
    assert isinstance(scheduled.schedule, CronSchedule)
    assert (scheduled.schedule.cron, scheduled.schedule.timezone) == ("15 * * * *", "UTC")
    assert hourly.global_concurrency_limit is not None
    assert hourly.global_concurrency_limit.limit == 1
    assert hourly.concurrency_options is not None
    assert hourly.concurrency_options.collision_strategy == ConcurrencyLimitStrategy.CANCEL_NEW
    assert hourly.parameters["batch"]["max_cost"] == 5


@pytest.mark.parametrize("by_hand", ["manual", "redrive", "estimate"])
def test_what_is_started_by_hand_has_no_schedule(by_hand: str, deployed: PrefectServer) -> None:
    assert read(deployed, by_hand).schedules == []


def test_the_form_asks_for_every_parameter_and_explains_it(name: str, deployment: DeploymentResponse) -> None:
    flow = flow_of(name)
    schema = deployment.parameter_openapi_schema
    assert schema is not None
    fields = schema["properties"]
    assert sorted(fields) == sorted(flow.parameters.properties)
    assert schema["required"] == flow.parameters.required
    assert [name for name, field in fields.items() if not field.get("description")] == []


def test_the_form_has_every_setting_of_a_run_but_those_of_a_terminal(deployed: PrefectServer) -> None:
    schema = read(deployed, "manual").parameter_openapi_schema
    assert schema is not None
    offered = set(schema["properties"]) | {
        name for definition in schema["definitions"].values() for name in definition.get("properties", ())
    }
    wanted = {name for section in RunSettings.model_fields.values() for name in _model_fields(section.annotation)}
    assert wanted - offered == {"schema_file", "json_summary", "quiet", "log_level"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"input": 5},
        {"batch": {"concurrency": 0}},
        {"batch": {"colour": "red"}},
        {"api": {"temperature": 9}},
    ],
    ids=str,
)
def test_wrong_parameters_are_refused_when_the_form_is_submitted(
    wrong: dict[str, Any], deployed: PrefectServer
) -> None:
    manual = read(deployed, "manual")
    with deployed.client() as client, pytest.raises(PrefectHTTPStatusError, match="409"):
        client.create_flow_run_from_deployment(manual.id, parameters={"input": "in.csv"} | wrong)


def test_groups_that_were_opened_and_left_empty_are_accepted_and_give_nothing(deployed: PrefectServer) -> None:
    """The form then submits null for every field but switches."""
    manual = read(deployed, "manual")
    sections: dict[str, type[BaseModel]] = {
        "documents": DocumentOptions,
        "api": ApiOptions,
        "batch": BatchOptions,
        "monitoring": MonitoringOptions,
    }
    empty = {name: dict.fromkeys(model.model_fields) for name, model in sections.items()}
    for name, model in sections.items():
        assert model.model_validate(empty[name]).model_fields_set == set()
    for provider in ({"provider": None}, {"provider": "by-name"}):
        with deployed.client() as client:
            client.create_flow_run_from_deployment(manual.id, parameters={"input": "in.csv"} | provider | empty)


def _model_fields(model: Any) -> list[str]:
    return list(model.model_fields)
