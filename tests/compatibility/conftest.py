"""A frozen run where a test may change it, and how its commands are carried out there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.cli.commanding import Ended
from tests.compatibility.frozen import FrozenRun, Row, asking, rows_of, upload
from tests.compatibility.warm import Warm, start_warm
from tests.scripted_server.client import ScriptedServer


@dataclass(frozen=True, slots=True)
class Thawed:
    """A copy of a frozen run: in a folder of this test, or on the tests' S3 server."""

    frozen: FrozenRun
    said: dict[str, Any]
    folder: Path
    output: str
    server: ScriptedServer
    warm: Warm
    environ: Mapping[str, str] | None

    @property
    def url(self) -> str:
        """The run's directory, whole."""
        return self.output if self.environ is not None else str(self.folder / self.output)

    def act(self, action: str) -> tuple[Ended, dict[str, Any]]:
        """Carry out what `expected.json` has by that name; how it ended, and what was said of it then."""
        expected: dict[str, Any] = self.said["actions"][action]
        return self.carry_out(expected["arguments"]), expected

    def carry_out(self, arguments: Sequence[str], output: str | None = None) -> Ended:
        """A command like those of `expected.json`, on its directory or on another one."""
        return self.call(*asking(arguments, output or self.output, self.server))

    def call(self, *arguments: str) -> Ended:
        """Another command beside the run."""
        return self.warm.call(*arguments, cwd=self.folder)

    def rows(self, suffix: str = "") -> list[Row]:
        """Its result rows, or those of the run whose name is longer by that."""
        return rows_of(f"{self.url}{suffix}", self.environ)


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    with start_warm(tmp_path_factory.mktemp("warm")) as process:
        yield process


@pytest.fixture
def thawed(
    frozen: FrozenRun, scripted_server: ScriptedServer, warm: Warm, tmp_path: Path, request: pytest.FixtureRequest
) -> Thawed:
    """The run that the parameter `frozen` names, and a server that answers otherwise than the one of then."""
    said, folder = frozen.said, frozen.copy_to(tmp_path)
    if said["output"] is not None:
        scripted_server.answer_json(said["output"])
    if not frozen.is_on_s3:
        return Thawed(frozen, said, folder, "out", scripted_server, warm, None)
    url = f"{request.getfixturevalue('bucket')}/out"
    upload(folder / "out", url)
    return Thawed(frozen, said, folder, url, scripted_server, warm, request.getfixturevalue("s3_server"))
