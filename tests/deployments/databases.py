"""Postgres and Redis as processes of the tests, on data of their own, in the place of compose's two services."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.deployments.containers import COMPOSE
from tests.prefect_server import eventually

STARTS_S = 60.0


@dataclass(frozen=True, slots=True)
class Postgres:
    """The running server and the environment by which its own commands find it."""

    environ: Mapping[str, str]

    def dump(self) -> str:
        """All that it holds, as SQL."""
        return _said([program("pg_dump")], self.environ)


@dataclass(frozen=True, slots=True)
class Redis:
    """The running server."""

    port: int

    def names(self, pattern: str, database: int = 0) -> list[str]:
        """The names of what it holds."""
        command = [program("redis-cli"), "-p", str(self.port), "-n", str(database), "--scan", "--pattern", pattern]
        return _said(command, {}).split()


def program(name: str) -> str:
    """Where it is; Debian keeps Postgres's own out of the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")])
    return shutil.which(name, path=path) or ""


@contextmanager
def postgres_server(port: int, password: str) -> Iterator[Postgres]:
    """With the user, database and password that compose's `environment` has the image create."""
    stated = COMPOSE["services"]["postgres"]["environment"]
    user, database = stated["POSTGRES_USER"], stated["POSTGRES_DB"]
    settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    environ = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": user, "PGPASSWORD": password}
    with _own_folder() as (folder, owner):
        (folder / "password").write_text(password)
        data = ["--pgdata", str(folder / "data"), "--username", user, "--no-sync"]
        secured = ["--auth", "scram-sha-256", "--pwfile", str(folder / "password")]
        _said([program("initdb"), *data, *secured], {}, owner)
        command = [program("postgres"), "-D", str(folder / "data"), "-p", str(port), *options]
        with _running(command, folder, owner):
            _becomes_healthy("postgres", environ)
            _said([program("createdb"), database], environ)
            yield Postgres(environ | {"PGDATABASE": database})


@contextmanager
def redis_server(port: int) -> Iterator[Redis]:
    """An empty one."""
    with _own_folder() as (folder, owner):
        command = [program("redis-server"), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
        with _running(command, folder, owner):
            _becomes_healthy("redis", {}, "-p", str(port))
            yield Redis(port)


@contextmanager
def _own_folder() -> Iterator[tuple[Path, int | None]]:
    """A new folder and the id of its owner: root must not run Postgres. `None` is whoever runs the tests."""
    owner = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory() as folder:
        if owner is not None:
            os.chown(folder, owner, -1)
        yield Path(folder), owner


@contextmanager
def _running(command: list[str], folder: Path, owner: int | None) -> Iterator[None]:
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, user=owner, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)  # Postgres then waits for no client
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _becomes_healthy(service: str, environ: Mapping[str, str], *arguments: str) -> None:
    """Wait for compose's own check; in the container its address is the default one."""
    name, *rest = COMPOSE["services"][service]["healthcheck"]["test"][1:]
    command = [program(name), *arguments, *rest]

    def status() -> int:
        return subprocess.run(command, env=dict(environ), capture_output=True, check=False).returncode

    eventually(status, lambda seen: seen == 0, STARTS_S)


def _said(command: list[str], environ: Mapping[str, str], user: int | None = None) -> str:
    ended = subprocess.run(
        command, env=dict(environ), user=user, cwd="/", capture_output=True, text=True, timeout=STARTS_S, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
