"""deployments/docker: read, linted, and the Dockerfile's own commands carried out in a fresh directory.

No container engine is needed: `/opt/prefect-llm` becomes a directory of the test, and nobody is added to the system.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.deployments.containers import COMPOSE, DOCKER, HOME, PORTS, ROOT, STARTS_S, Containers, all_of
from tests.prefect_server import PrefectServer

from prefect_llm.workers.worker import GRACE_S


def test_a_linter_has_nothing_to_say() -> None:
    status, said = checked("hadolint", str(DOCKER / "Dockerfile"))
    assert (status, said) == (0, "")


def test_the_compose_file_is_one_by_the_schema_of_the_compose_specification() -> None:
    status, said = checked(
        "check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(DOCKER / "compose.yaml")
    )
    assert status == 0, said


def checked(program: str, *arguments: str) -> tuple[int, str]:
    """What a development dependency says to a file."""
    found = shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    ended = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def test_the_image_is_slim_pinned_and_not_run_by_root() -> None:
    assert {re.sub(r" AS \w+$", "", each) for each in all_of("FROM")} == {"python:3.11.14-slim-bookworm"}
    (user,) = all_of("USER")
    assert int(user) > 0
    assert "--constraint deployments/docker/constraints.txt" in " ".join(all_of("RUN"))
    pins = (DOCKER / "constraints.txt").read_text().split()
    assert {"prefect", "pyarrow", "httpx", "s3fs", "prefect-redis"} <= {pin.split("==")[0] for pin in pins}
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.+!]+", pin)] == []


def test_the_compose_file_has_what_one_machine_needs_with_images_pinned_and_health_checks() -> None:
    services = COMPOSE["services"]
    assert sorted(services) == ["postgres", "redis", "server", "worker"]
    for name, service in services.items():
        assert re.fullmatch(r"[\w-]+:\d+\.\d+[\w.-]*", service["image"]), name
        assert name == "worker" or service["healthcheck"]["test"][0] == "CMD"  # the worker's is the image's
        for other, wanted in service.get("depends_on", {}).items():
            assert wanted == {"condition": "service_healthy"}
            assert other in services
        for mounted in service.get("volumes", ()):
            source = mounted.split(":")[0]
            assert source in COMPOSE["volumes"] or (DOCKER / source).exists()
    assert (DOCKER / services["worker"]["build"]["context"]).resolve() == ROOT
    assert (ROOT / services["worker"]["build"]["dockerfile"]).exists()


def test_the_workers_start_in_their_volume_and_may_write_there() -> None:
    """A new volume belongs to root unless the image has the folder it is mounted at, of another owner."""
    _, as_root = all_of("RUN")
    worker = COMPOSE["services"]["worker"]
    targets = [each.split(":")[1] for each in worker["volumes"] if each.split(":")[0] in COMPOSE["volumes"]]
    assert targets == [worker["working_dir"]]
    for target in targets:
        assert f"install --directory --owner=llm --group=llm {target}" in as_root
    assert "useradd --create-home --uid 10001 llm" in as_root
    assert all_of("USER") == ["10001"]


def test_the_server_unpacks_its_ui_where_the_image_s_user_may_write() -> None:
    stated = dict(pair.split("=", 1) for each in all_of("ENV") for pair in shlex.split(each))
    assert Path(stated["PREFECT_SERVER_UI_STATIC_DIRECTORY"]).is_relative_to(HOME)


def test_every_setting_of_the_stack_is_explained_in_the_example_of_its_env_file() -> None:
    asked = set(re.findall(r"\$\{(\w+)", (DOCKER / "compose.yaml").read_text()))
    assert set(re.findall(r"^(\w+)=", (DOCKER / ".env.example").read_text(), re.MULTILINE)) == asked


def test_a_worker_s_container_is_given_longer_to_stop_than_a_worker_gives_its_runs() -> None:
    assert float(COMPOSE["services"]["worker"]["stop_grace_period"].removesuffix("s")) > GRACE_S + 10


def test_no_secret_stands_in_the_files() -> None:
    for line in (DOCKER / "compose.yaml").read_text().splitlines():
        if re.search(r"PASSWORD|KEY", line) and not line.startswith("#"):
            assert "${" in line, line


def test_the_commands_install_what_the_files_name(image: Path, tmp_path: Path) -> None:
    named = [value for value in COMPOSE["services"]["server"]["environment"].values() if "prefect_redis" in value]
    code = f"import importlib, prefect_llm, s3fs, gcsfs; [importlib.import_module(name) for name in {named}]"
    python = str(image / "bin" / "python")
    subprocess.run([python, "-I", "-c", code], cwd=tmp_path, check=True, timeout=STARTS_S)
    subprocess.run([python, "-I", "-m", "pip", "check"], cwd=tmp_path, check=True, timeout=STARTS_S)


def test_the_worker_starts_and_its_health_check_passes(
    image: Path, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    (exposed,) = all_of("EXPOSE")
    assert exposed == str(PORTS["worker"])
    port = urlsplit(prefect_server.api_url).port
    assert port is not None
    containers = Containers(image, tmp_path, given={}, ports={"server": port})
    with containers.started("worker"):
        assert containers.is_healthy("worker")
    assert not containers.is_healthy("worker")
