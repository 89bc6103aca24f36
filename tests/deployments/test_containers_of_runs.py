"""A container or a pod for each run: what the workers of those types make of our deployments."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from typing import Any, cast
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from ruamel.yaml import YAML
from tests.deployments.conftest import DEPLOYMENTS

kubernetes_validate = pytest.importorskip("kubernetes_validate")
kubernetes = pytest.importorskip("prefect_kubernetes.worker")
docker = pytest.importorskip("prefect_docker.worker")

TEMPLATE: dict[str, Any] = json.loads((DEPLOYMENTS / "kubernetes" / "base-job-template.json").read_text())
RESCHEDULE = "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"


def test_a_pod_s_job_is_one_by_the_schema_of_the_api_to_the_last_field() -> None:
    kubernetes_validate.validate(job(), kubernetes_validate.latest_version(), strict=True)


def test_a_pod_that_gets_sigterm_reschedules_its_run_within_its_grace_time() -> None:
    pod = job()["spec"]["template"]["spec"]
    environ = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    assert environ[RESCHEDULE] == "reschedule"
    assert job()["spec"]["backoffLimit"] == 0
    assert pod["terminationGracePeriodSeconds"] == 60
    assert pod["containers"][0]["args"] == ["prefect", "flow-run", "execute"]


def test_a_pod_has_its_folder_its_keys_and_its_limits() -> None:
    pod = job()["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["volumes"] == [{"name": "llm", "persistentVolumeClaim": {"claimName": "llm"}}]
    assert container["volumeMounts"] == [{"name": "llm", "mountPath": "/srv/llm"}]
    assert container["envFrom"] == [{"secretRef": {"name": "llm-keys", "optional": True}}]
    assert container["resources"]["limits"]["memory"] == "2Gi"
    assert pod["securityContext"]["runAsUser"] == 10001


def test_a_container_has_the_stack_s_volume_and_network_and_reschedules_its_run() -> None:
    made = configuration(
        docker.DockerWorkerJobConfiguration, docker.DockerWorker.get_default_base_job_template(), "docker"
    )
    assert (made.volumes, made.networks) == (["prefect-llm_llm:/srv/llm"], ["prefect-llm_default"])
    assert made.image_pull_policy == "Never"
    assert made.env[RESCHEDULE] == "reschedule"
    assert made.command == "prefect flow-run execute"


@pytest.mark.parametrize("folder", ["docker", "kubernetes"])
def test_a_deployment_sets_no_variable_that_its_pool_does_not_know(folder: str) -> None:
    known = TEMPLATE if folder == "kubernetes" else docker.DockerWorker.get_default_base_job_template()
    assert set(job_variables(folder)) <= set(known["variables"]["properties"])


@cache
def job() -> dict[str, Any]:
    """The manifest that a worker would hand to the cluster."""
    made = configuration(kubernetes.KubernetesWorkerJobConfiguration, TEMPLATE, "kubernetes")
    return cast(dict[str, Any], made.job_manifest)


def configuration(kind: Any, template: dict[str, Any], folder: str) -> Any:
    made = asyncio.run(kind.from_template_and_values(template, job_variables(folder)))
    made.prepare_for_flow_run(FlowRun(flow_id=uuid4(), name="a-run"))
    return made


def job_variables(folder: str) -> dict[str, Any]:
    (deployment,) = YAML(typ="safe").load(DEPLOYMENTS / folder / "prefect.yaml")["deployments"]
    return dict(deployment["work_pool"]["job_variables"])
