"""`prefect-llm automations create` on a real server, and what each automation then does to runs of a worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.events.schemas.automations import Automation
from tests.cli.commanding import Ended, call
from tests.conftest import WriteDocuments
from tests.deployments.starting import CANCEL_S, Parameters, ended, ids_of, start
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

NAMES = ["cancel when errors are high", "crash runs without a heartbeat", "notify when a run fails"]


@pytest.fixture
def created(deployed: PrefectServer, scripted_server: ScriptedServer, tmp_path: Path) -> Iterator[Ended]:
    """The three automations, and what the command said; a message is a request to the scripted server."""
    told = {"subject": "{{subject}}", "body": "{{body}}"}
    settings: dict[str, Any] = {"name": "test", "url": f"{scripted_server.url}/told", "json_data": told}
    CustomWebhookNotificationBlock(**settings).save("told", overwrite=True)
    yield create(deployed, tmp_path, "--notify", "custom-webhook/told")
    with deployed.client() as client:
        for each in automations(deployed):
            client.delete_automation(each.id)


def create(server: PrefectServer, cwd: Path, *arguments: str) -> Ended:
    return call("automations", "create", *arguments, cwd=cwd, environ=server.environ)


def automations(server: PrefectServer) -> list[Automation]:
    with server.client() as client:
        found = client.read_automations()
    return sorted((each for each in found if each.name.startswith("prefect-llm: ")), key=lambda each: each.name)


def test_one_command_creates_all_and_again_changes_nothing(
    created: Ended, deployed: PrefectServer, tmp_path: Path
) -> None:
    assert created.status == 0, created.err
    before = automations(deployed)
    assert [each.name.removeprefix("prefect-llm: ") for each in before] == NAMES
    with deployed.client() as client:
        client.pause_automation(before[0].id)
    again = create(deployed, tmp_path, "--notify", "custom-webhook/told")
    assert (again.status, again.out.count("updated: "), again.out.count("created: ")) == (0, 3, 0), again.err
    after = automations(deployed)
    assert [each.id for each in after] == [each.id for each in before]
    assert [each.enabled for each in after] == [False, True, True]  # what a person paused stays so
    assert [each.trigger for each in after] == [each.trigger for each in before]
    assert [each.actions for each in after] == [each.actions for each in before]


def test_a_deployment_whose_heartbeat_is_too_slow_is_named(deployed: PrefectServer, tmp_path: Path) -> None:
    """Those of deployments/ send one every 30 s."""
    with deployed.client() as client:
        nightly = client.read_deployment_by_name("batch-inference/nightly")
        slow = client.create_deployment(nightly.flow_id, "slow", entrypoint=nightly.entrypoint, work_pool_name="llm")
    try:
        told = create(deployed, tmp_path, "--zombie-after", "90").err.splitlines()
        quiet = create(deployed, tmp_path, "--zombie-after", "360").err
    finally:
        with deployed.client() as client:
            client.delete_deployment(slow)
            for each in automations(deployed):
                client.delete_automation(each.id)
    [sentence] = [line for line in told if "heartbeat" in line]
    assert "'slow' sends a heartbeat every 180 s" in sentence
    assert "PREFECT_FLOWS_HEARTBEAT_FREQUENCY to 45 or less" in sentence
    assert "heartbeat" not in quiet


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (["--notify", "slack-webhook/none"], "there is no block 'slack-webhook/none'"),
        (["--zombie-after", "20"], "expected 60 seconds or more"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], refusal: str, deployed: PrefectServer, tmp_path: Path
) -> None:
    refused = create(deployed, tmp_path, *arguments)
    assert refused.status == 2
    assert refusal in refused.refusals[0]
    assert automations(deployed) == []


def test_a_run_with_many_errors_is_cancelled_and_the_same_output_finishes_it(
    created: Ended,
    parameters: Parameters,
    worker: Path,
    deployed: PrefectServer,
    scripted_server: ScriptedServer,
    write_documents: WriteDocuments,
    tmp_path: Path,
) -> None:
    parameters |= {
        "input": write_documents(200),
        "output": str(tmp_path / "run"),
        "batch": {"chunk_rows": 50, "concurrency": 30, "stop_error_share": 1, "max_error_share": 1},
    }
    scripted_server.script({f"doc-{row}": steps.error(400, "flagged", code="content_filter") for row in range(150)})
    scripted_server.script({f"doc-{row}": steps.hang() for row in range(190, 200)})
    flow_run_id = start(deployed, parameters)
    cancelled = ended(deployed, flow_run_id, worker, CANCEL_S + 60)
    assert cancelled.state_name == "Cancelled", worker.read_text()
    events = eventually(lambda: deployed.run_events(flow_run_id), lambda seen: len(seen) == 3)
    assert [each.event.removeprefix("prefect-llm.") for each in events] == [
        "run.started",
        "errors.high",
        "run.finished",
    ]
    assert events[1].payload["error_share"] > 0.2
    assert (events[2].payload["state"], events[2].payload["failed"]) == ("interrupted", 150)
    manifest = json.loads((tmp_path / "run" / "_run" / "manifest.json").read_text())
    assert manifest["state"] == "interrupted"

    # a retry would be set to Crashed where the worker reports the cancelled process late
    scripted_server.reset()
    again = ended(deployed, start(deployed, parameters), worker)
    assert again.state_name == "Completed", worker.read_text()
    assert scripted_server.stats().requests == 10  # the rest was answered, or has failed for good, before
    assert ids_of(tmp_path / "run") == [f"d{number}" for number in range(200)]


def test_a_failed_run_is_told_of_by_its_name_and_reason(
    created: Ended, parameters: Parameters, worker: Path, deployed: PrefectServer, scripted_server: ScriptedServer
) -> None:
    scripted_server.expect_key("another")
    flow_run_id = start(deployed, parameters)
    assert ended(deployed, flow_run_id, worker).state_name == "AuthenticationFailed"
    told = eventually(lambda: [each for each in scripted_server.log() if each.path == "/told"], bool)
    assert told[0].body["subject"] == "documents-100.parquet with m: AuthenticationFailed"
    said, found_by = told[0].body["body"].splitlines()
    assert "refused the key" in said
    assert found_by == f"{deployed.api_url.removesuffix('/api')}/runs/flow-run/{flow_run_id}"
