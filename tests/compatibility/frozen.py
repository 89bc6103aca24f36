"""What lies in `runs/BUILD/NAME`: a run's directory as that build left it, and what that build said of it.

`input` is the source, `out` the run's directory, `expected.json` what was said. Commands in it name no endpoint, and
their run's directory is `OUTPUT`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from tests.cli.commanding import Ended
from tests.scripted_server.client import ScriptedServer

HERE = Path(__file__).parent
RUNS = HERE / "runs"
INPUT_TIME_S = 1_700_000_000
"""When every input was changed last: a run remembers that of its source, and git does not."""
OUTPUT = "OUTPUT"

FROZEN = "frozen answer"
"""What the answers of before begin with; those of a test begin otherwise."""
OF_THE_INVOCATION = frozenset({"output", "seconds"})
"""Keys of `--json` that are others each time."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FrozenRun:
    """One run's directory of an earlier build."""

    build: str
    name: str

    @property
    def id(self) -> str:
        """For the names of tests."""
        return f"{self.build}-{self.name}"

    @property
    def path(self) -> Path:
        """Where it lies."""
        return RUNS / self.build / self.name

    @property
    def said(self) -> dict[str, Any]:
        """What its build said of it."""
        said: dict[str, Any] = json.loads((self.path / "expected.json").read_text())
        return said

    @property
    def is_on_s3(self) -> bool:
        """Whether its files are the objects of a store."""
        return bool(self.said["store"] == "s3")

    def copy_to(self, folder: Path) -> Path:
        """The same where a test may change it; returns the folder."""
        shutil.copytree(self.path, folder, dirs_exist_ok=True)
        for file in (folder / "input").iterdir():
            os.utime(file, (INPUT_TIME_S, INPUT_TIME_S))
        return folder


def frozen_runs() -> list[FrozenRun]:
    """Every one there is."""
    return [FrozenRun(path.parent.name, path.name) for path in sorted(RUNS.glob("*/*"))]


def each_frozen(*actions: str) -> pytest.MarkDecorator:
    """A test of each frozen run; with actions, of each run and action that `expected.json` has of them."""
    found = [(frozen, action) for frozen in frozen_runs() for action in actions if action in frozen.said["actions"]]
    if not actions:
        return pytest.mark.parametrize("frozen", frozen_runs(), ids=lambda frozen: frozen.id)
    ids = [f"{frozen.id}-{action}" for frozen, action in found]
    return pytest.mark.parametrize(("frozen", "action"), found, ids=ids)


def frozen_run(name: str) -> pytest.MarkDecorator:
    """A test of the runs of that name."""
    found = [frozen for frozen in frozen_runs() if frozen.name == name]
    return pytest.mark.parametrize("frozen", found, ids=lambda frozen: frozen.id)


def upload(folder: Path, url: str) -> None:
    """Every file of a folder as an object below an S3 prefix."""
    import fsspec

    store, root = fsspec.core.url_to_fs(url)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.pipe_file(f"{root}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def asking(arguments: Sequence[str], output: str, server: ScriptedServer) -> list[str]:
    """A command of `expected.json` on the run's directory at `output`, whole."""
    return [*named_for(arguments, output), "--base-url", server.base_url, "--json", "--quiet"]


def named_for(arguments: Sequence[str], output: str) -> list[str]:
    """The command with the place of the run's directory in it."""
    return [argument.replace(OUTPUT, output) for argument in arguments]


def asked_of(server: ScriptedServer) -> dict[str, int]:
    """How often each document was asked since the reset, those that are asked first."""
    return dict(sorted(server.stats().by_document.items()))


def rows_of(output: str, environ: Mapping[str, str] | None = None) -> list[Row]:
    """Every result row as JSON, in the order of the input; columns without a value are left out."""
    return [plain(row) for row in dataset_at(output, environ).to_table().to_pylist()]


def dataset_at(output: str, environ: Mapping[str, str] | None = None) -> ds.Dataset:
    """The result as Arrow itself reads it; S3 is found by that environment."""
    if environ is None:
        return ds.dataset(Path(output) / "results")
    from pyarrow.fs import S3FileSystem

    store = S3FileSystem(
        access_key=environ["AWS_ACCESS_KEY_ID"],
        secret_key=environ["AWS_SECRET_ACCESS_KEY"],
        endpoint_override=environ["AWS_ENDPOINT_URL"],
        region=environ["AWS_DEFAULT_REGION"],
    )
    return ds.dataset(f"{output.removeprefix('s3://')}/results", filesystem=store)


def brief(row: Row) -> Row:
    """What a row of an action is told by: those that were asked then have other times each time."""
    names = ("id", "status", "content", "output", "reused", "input_tokens", "output_tokens", "cost", "attempts")
    return {name: value for name, value in row.items() if name in (*names, "error_kind")}


def plain(row: Mapping[str, Any]) -> Row:
    """The row as JSON has it: money and instants as text."""
    held: Row = json.loads(json.dumps(row, default=str))
    return {name: value for name, value in held.items() if value is not None}


def stable_summary(ended: Ended) -> dict[str, Any]:
    """The object of `--json` without what is another each time."""
    return {name: value for name, value in ended.summary.items() if name not in OF_THE_INVOCATION}


def holds(now: Any, then: Any) -> bool:
    """Whether what was said then is still said; later builds may say more."""
    if isinstance(then, Mapping):
        return isinstance(now, Mapping) and all(holds(now.get(name), value) for name, value in then.items())
    if isinstance(then, list):
        return isinstance(now, list) and len(now) == len(then) and all(map(holds, now, then))
    return bool(now == then)
