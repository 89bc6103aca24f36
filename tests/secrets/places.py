"""Every place that a flow run leaves something in, by name: what is written down, shown, or handed to a task."""

from __future__ import annotations

import pickle
import sqlite3
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import cloudpickle  # type: ignore[import-untyped]
from prefect import Task, runtime
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, PREFECT_RESULTS_PERSIST_BY_DEFAULT, temporary_settings
from tests.prefect_server import PrefectServer, eventually

Content = tuple[str, bytes]
"""What exactly it is, and what it holds."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is looked through after a flow run: `handed` are its tasks' parameters, `shown` objects that it used."""

    server: PrefectServer
    state: State[Any]
    directory: Path
    results: Path
    output: str = ""
    log: str = ""
    handed: list[bytes] = field(default_factory=list)
    shown: tuple[object, ...] = ()

    @property
    def flow_run_id(self) -> UUID:
        """Whose run it was."""
        found = self.state.state_details.flow_run_id
        assert found is not None
        return found


def contents_of(place: str, left: Left) -> list[Content]:
    """What stands in one place."""
    return list(PLACES[place](left))


@contextmanager
def results_persisted(folder: Path) -> Iterator[None]:
    """As where PREFECT_RESULTS_PERSIST_BY_DEFAULT is set, in a storage of its own.

    Then the flow's result is written down, and each error; a finished task of ours has no cache, and writes none.
    """
    updates = {PREFECT_RESULTS_PERSIST_BY_DEFAULT: True, PREFECT_LOCAL_STORAGE_PATH: folder}
    with temporary_settings(updates=updates):
        yield


@contextmanager
def parameters_noted(tasks: Iterable[Task[..., Any]]) -> Iterator[list[bytes]]:
    """The parameters of each run of these tasks, as they would travel to another process."""
    handed: list[bytes] = []

    def note(*_: Any) -> None:
        handed.append(cloudpickle.dumps(runtime.task_run.parameters))

    noted = list(tasks)
    for each in noted:
        each.on_running(note)
    try:
        yield handed
    finally:
        for each in noted:
            each.on_running_hooks.remove(note)


def _home(left: Left) -> Iterator[Content]:
    """But the database, a place of its own."""
    return (each for each in _files(left.server.home) if not each[0].startswith(left.server.database.name))


def _logs_in_prefect(left: Left) -> Iterator[Content]:
    for each in left.server.logs(left.flow_run_id):
        yield each.name, each.model_dump_json().encode()


def _artifacts(left: Left) -> Iterator[Content]:
    for key, artifact in left.server.artifacts(left.flow_run_id).items():
        yield str(key), artifact.model_dump_json().encode()


def _database(left: Left) -> Iterator[Content]:
    """As it is now, with what its log holds beside it."""
    with closing(sqlite3.connect(left.server.database)) as live, closing(sqlite3.connect(":memory:")) as copy:
        live.backup(copy)
        yield left.server.database.name, copy.serialize()


def _flow_parameters(left: Left) -> Iterator[Content]:
    yield "flow run", left.server.flow_run(left.flow_run_id).model_dump_json().encode()


def _task_parameters(left: Left) -> Iterator[Content]:
    for number, parameters in enumerate(left.handed):
        yield f"task {number}", parameters


def _task_runs(left: Left) -> Iterator[Content]:
    for each in eventually(lambda: left.server.task_runs(left.flow_run_id), len):
        yield each.name, each.model_dump_json().encode()


def _exceptions(left: Left) -> Iterator[Content]:
    error = left.state.result(raise_on_failure=False)
    if isinstance(error, BaseException):
        yield "itself", f"{error!r} {error} {vars(error)}".encode()
        yield "traceback", "".join(traceback.format_exception(error)).encode()
        yield "pickled", pickle.dumps(error)


def _states(left: Left) -> Iterator[Content]:
    yield "of the flow run", f"{left.state!r} {left.state.message} {left.state.model_dump()}".encode()


def _reprs(left: Left) -> Iterator[Content]:
    for each in left.shown:
        yield type(each).__name__, f"{each!r} {each}".encode()


def _report(left: Left) -> Iterator[Content]:
    for path in sorted(left.directory.rglob("report.*")):
        yield path.name, path.read_bytes()


def _files(folder: Path) -> Iterator[Content]:
    for path in sorted(filter(Path.is_file, folder.rglob("*"))):
        yield str(path.relative_to(folder)), path.read_bytes()


PLACES: dict[str, Callable[[Left], Iterable[Content]]] = {
    "output": lambda left: [("of this process", left.output.encode())],
    "logs at DEBUG": lambda left: [("of this process", left.log.encode())],
    "logs in Prefect": _logs_in_prefect,
    "artifacts": _artifacts,
    "Prefect's database": _database,
    "flow parameters": _flow_parameters,
    "task parameters": _task_parameters,
    "task runs": _task_runs,
    "persisted results": lambda left: _files(left.results),
    "run directory": lambda left: _files(left.directory),
    "report": _report,
    "exceptions": _exceptions,
    "states": _states,
    "reprs": _reprs,
    "Prefect's home": _home,
}
