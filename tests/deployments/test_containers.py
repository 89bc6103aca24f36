"""deployments/docker: read, linted, and the Dockerfile's own commands carried out in a fresh directory.

No container engine is needed: `/opt/prefect-llm` becomes a directory of the test, and nobody is added to the system.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML
from tests.deployments.conftest import DEPLOYMENTS
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server.client import free_port

ROOT = DEPLOYMENTS.parent
DOCKER = DEPLOYMENTS / "docker"
TARGET = "/opt/prefect-llm"
INSTALL_S, STARTS_S = 240.0, 60.0
COMPOSE: dict[str, Any] = YAML(typ="safe").load(DOCKER / "compose.yaml")


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile, in order: the word and what follows it, comments and line ends taken out."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line.strip()]


def all_of(word: str) -> list[str]:
    return [rest for each, rest in instructions() if each == word]


def test_a_linter_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    ended = subprocess.run([hadolint, str(DOCKER / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


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


def test_no_secret_stands_in_the_files() -> None:
    for line in (DOCKER / "compose.yaml").read_text().splitlines():
        if re.search(r"PASSWORD|KEY", line) and not line.startswith("#"):
            assert "${" in line, line


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the RUN lines of the first stage make of what .dockerignore lets in."""
    context, target = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("opt") / "prefect-llm"
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line.startswith("!"):
            continue
        source, copy = ROOT / line[1:], context / line[1:]
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, copy)
    (build, as_root) = all_of("RUN")
    assert as_root.startswith("useradd ")
    interpreter = f"{sys.base_prefix}/bin"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environ |= {"PATH": f"{interpreter}:{os.environ['PATH']}"}
    command = ["sh", "-euc", build.replace(TARGET, str(target))]
    ended = subprocess.run(
        command, cwd=context, env=environ, capture_output=True, text=True, timeout=INSTALL_S, check=False
    )
    assert ended.returncode == 0, ended.stdout[-2_000:] + ended.stderr[-2_000:]
    return target


def test_the_commands_install_what_the_files_name(environment: Path, tmp_path: Path) -> None:
    named = [value for value in COMPOSE["services"]["server"]["environment"].values() if "prefect_redis" in value]
    code = f"import importlib, prefect_llm, s3fs, gcsfs; [importlib.import_module(name) for name in {named}]"
    python = str(environment / "bin" / "python")
    subprocess.run([python, "-I", "-c", code], cwd=tmp_path, check=True, timeout=STARTS_S)
    subprocess.run([python, "-I", "-m", "pip", "check"], cwd=tmp_path, check=True, timeout=STARTS_S)


def test_the_worker_starts_and_its_health_check_passes(
    environment: Path, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    """On a port of its own, since 8080 may be taken here."""
    port = str(free_port())
    stated = dict(pair.split("=", 1) for each in all_of("ENV") for pair in shlex.split(each))
    assert stated["PREFECT_WORKER_WEBSERVER_PORT"] == "8080"
    (exposed,), (check,) = all_of("EXPOSE"), all_of("HEALTHCHECK")
    assert exposed == "8080"
    stated |= {"PATH": f"{environment}/bin:/usr/bin:/bin", "PREFECT_WORKER_WEBSERVER_PORT": port}
    environ = {"HOME": str(tmp_path), "PREFECT_API_URL": prefect_server.api_url} | stated
    probe = [each.replace(":8080/", f":{port}/") for each in json.loads(check.partition("CMD ")[2])]
    probe[0] = str(environment / "bin" / probe[0])
    (command,) = all_of("CMD")
    start = json.loads(command)
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [str(environment / "bin" / start[0]), *start[1:]], cwd=tmp_path, env=environ, stdout=log, stderr=log
        )
        try:
            eventually(lambda: _is_healthy(port) or process.poll() is not None, bool, STARTS_S)
            subprocess.run(probe, env=environ, check=True, timeout=STARTS_S)
        finally:
            process.terminate()
            process.wait(timeout=STARTS_S)
    assert subprocess.run(probe, env=environ, capture_output=True, timeout=STARTS_S, check=False).returncode != 0


def _is_healthy(port: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=4).is_success
    except httpx.HTTPError:
        return False
