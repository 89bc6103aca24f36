"""deployments/docker, read and carried out without a container engine.

What the Dockerfile's commands make becomes a directory of the tests; a container of compose.yaml becomes a process
with the same command, environment, folders and health check, on loopback ports of the tests.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from tests.prefect_server import eventually
from tests.scripted_server.client import free_port

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "deployments" / "docker"
COMPOSE: dict[str, Any] = YAML(typ="safe").load(DOCKER / "compose.yaml")
TARGET, HOME = "/opt/prefect-llm", "/home/llm"
PORTS = {"postgres": 5432, "redis": 6379, "server": 4200, "worker": 8080}
INSTALL_S, STARTS_S, COMMAND_S = 600.0, 120.0, 120.0


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile, in order: the word and what follows it, comments and line ends taken out."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line.strip()]


def all_of(word: str) -> list[str]:
    """What follows each such instruction."""
    return [rest for each, rest in instructions() if each == word]


def install(context: Path, target: Path) -> None:
    """Carry out the RUN lines of the first stage on what .dockerignore lets in."""
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line.startswith("!"):
            continue
        source, copy = ROOT / line[1:], context / line[1:]
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, copy)
    build, _as_root = all_of("RUN")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environ |= {"PATH": f"{sys.base_prefix}/bin:{os.environ['PATH']}"}
    command = ["sh", "-euc", build.replace(TARGET, str(target))]
    ended = subprocess.run(
        command, cwd=context, env=environ, capture_output=True, text=True, timeout=INSTALL_S, check=False
    )
    assert ended.returncode == 0, ended.stdout[-2_000:] + ended.stderr[-2_000:]


def documented_commands() -> list[list[str]]:
    """What the head of compose.yaml has run in the worker."""
    lines = (DOCKER / "compose.yaml").read_text().split("\nname:")[0].splitlines()
    wanted = "#   docker compose exec worker "
    return [shlex.split(line.removeprefix(wanted)) for line in lines if line.startswith(wanted)]


class Containers:
    """Processes in the place of compose's containers.

    `given` is the environment of whoever starts compose. `ports` has the services that listen here already; the
    others get ports that are free.
    """

    def __init__(
        self, image: Path, folder: Path, given: Mapping[str, str], ports: Mapping[str, int] | None = None
    ) -> None:
        self._image = image
        self._folder = folder
        self._given = given
        self._ports = {name: (ports or {}).get(name) or free_port() for name in PORTS}

    def port(self, service: str) -> int:
        """Where the service listens here."""
        return self._ports[service]

    def path(self, service: str, path: str) -> Path:
        """Where a folder of the container lies here."""
        return self._folder / service / path.lstrip("/")

    def log(self, service: str) -> Path:
        """What the service has said."""
        return self._folder / f"{service}.log"

    @contextmanager
    def started(self, service: str) -> Iterator[None]:
        """The service, from the moment that its health check passes."""
        command = COMPOSE["services"][service].get("command") or _in_json(all_of("CMD"))
        self._lay_out(service)
        with self.log(service).open("w") as log:
            process = subprocess.Popen(
                self._command(service, command),
                cwd=self._working_dir(service),
                env=self._environ(service),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                eventually(lambda: self.is_healthy(service) or process.poll() is not None, bool, STARTS_S)
                assert process.poll() is None, self.log(service).read_text()[-4_000:]
                yield
            finally:
                _end(process)

    def is_healthy(self, service: str) -> bool:
        """What its health check says: compose's, else the image's."""
        stated = COMPOSE["services"][service].get("healthcheck")
        check = stated["test"][1:] if stated else _in_json([all_of("HEALTHCHECK")[0].partition("CMD ")[2]])
        ended = subprocess.run(
            self._command(service, check),
            env=self._environ(service),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=STARTS_S,
            check=False,
        )
        return ended.returncode == 0

    def exec(self, service: str, command: list[str]) -> str:
        """What a command says that is run in the service's container, without a terminal; it has to succeed."""
        ended = subprocess.run(
            self._command(service, command),
            cwd=self._working_dir(service),
            env=self._environ(service),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout
        return ended.stdout

    def _here(self, service: str, text: str) -> str:
        """The text with addresses, ports and folders of the containers as they are here."""
        own_ports = {str(port): str(self.port(name)) for name, port in PORTS.items()}
        address = rf"\b({'|'.join([*PORTS, '127[.]0[.]0[.]1'])}):({'|'.join(own_ports)})\b"
        text = re.sub(address, lambda found: f"127.0.0.1:{own_ports[found[2]]}", text)
        for target in (*self._mounts(service).values(), HOME):
            if text.startswith(target):
                return str(self.path(service, text))
        return own_ports.get(text, text).replace("0.0.0.0", "127.0.0.1")

    def _environ(self, service: str) -> dict[str, str]:
        stated = dict(pair.split("=", 1) for each in all_of("ENV") for pair in shlex.split(each))
        stated |= {
            name: interpolated(value, self._given)
            for name, value in COMPOSE["services"][service]["environment"].items()
        }
        here = {name: self._here(service, value) for name, value in stated.items()}
        here |= {name: "127.0.0.1" for name, value in here.items() if name.endswith("_HOST") and value in PORTS}
        return here | {"PATH": f"{self._image}/bin:/usr/bin:/bin", "HOME": str(self.path(service, HOME))}

    def _command(self, service: str, command: list[str]) -> list[str]:
        program, *arguments = (self._here(service, word) for word in command)
        return [str(self._image / "bin" / program), *arguments]

    def _working_dir(self, service: str) -> Path:
        (of_the_image,) = [each for each in all_of("WORKDIR") if each == HOME]
        return self.path(service, COMPOSE["services"][service].get("working_dir", of_the_image))

    def _mounts(self, service: str) -> dict[str, str]:
        """Source and target of each."""
        mounted = COMPOSE["services"][service].get("volumes", ())
        return dict(each.removesuffix(":ro").split(":") for each in mounted)

    def _lay_out(self, service: str) -> None:
        for folder in (HOME, *self._mounts(service).values()):
            self.path(service, folder).parent.mkdir(parents=True, exist_ok=True)
        self.path(service, HOME).mkdir(exist_ok=True)
        for source, target in self._mounts(service).items():
            if source in COMPOSE["volumes"]:
                self.path(service, target).mkdir(exist_ok=True)
            elif (DOCKER / source).is_dir():
                shutil.copytree(DOCKER / source, self.path(service, target))
            else:
                shutil.copy(DOCKER / source, self.path(service, target))


def interpolated(text: str, given: Mapping[str, str]) -> str:
    """`${NAME:?what is missing}` and `${NAME:-default}` filled in as compose does."""

    def value(found: re.Match[str]) -> str:
        name, otherwise, rest = found.groups()
        if given.get(name):
            return given[name]
        assert otherwise == "-", f"{name}: {rest}"
        return rest

    return re.sub(r"\$\{(\w+):([-?])([^}]*)\}", value, text)


def _in_json(stated: list[str]) -> list[str]:
    (command,) = stated
    words: list[str] = json.loads(command)
    return words


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
