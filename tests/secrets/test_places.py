"""Where a run is looked through for a key: one planted in a place is found there, whatever the others hold."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import State, flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.settings import get_current_settings
from prefect.variables import Variable
from tests.blocks.making import make_block
from tests.conftest import WriteDocuments
from tests.prefect_server import PrefectServer
from tests.scripted_server.client import ScriptedServer
from tests.secrets.places import PLACES, Left, contents_of, parameters_noted, results_persisted
from tests.secrets.scanning import findings

from prefect_llm import batch_inference

LEAKING = logging.getLogger("prefect_llm.leaking")


def key_of(place: str) -> str:
    """Each place its own: the database keeps what was planted before."""
    return f"sk-planted-{place.replace(' ', '-').lower()}-3141"


@task
def given(argument: str) -> str:
    return argument and "nothing"


@task
def returned(place: str) -> str:
    return key_of(place)


@flow
def leaks(parameter: str, place: str) -> object:
    return LEAKS[place](key_of(place)) and "nothing"


def raised(key: str) -> object:
    raise ValueError(f"Incorrect API key provided: {key}")


LEAKS: dict[str, Callable[[str], object]] = {
    "output": lambda key: print("the key is", key),
    "logs at DEBUG": lambda key: LEAKING.debug("the key is %s", key),
    "logs in Prefect": lambda key: get_run_logger().info("the key is %s", key),
    "artifacts": lambda key: create_markdown_artifact(f"The key is {key}.", key="leak"),
    "Prefect's database": lambda key: Variable.set("planted", key, overwrite=True),
    "flow parameters": lambda _: None,
    "task parameters": given,
    "task runs": given.with_options(task_run_name="given-{argument}"),
    "persisted results": lambda _: returned("persisted results"),
    "parameters for another process": given.delay,
    "exceptions": raised,
    "states": raised,
    "reprs": lambda _: None,
    "Prefect's home": lambda key: (get_current_settings().home / "planted").write_text(key),
}


STANDS_IN = {"parameters for another process": "persisted results"}
"""Leaks that are named after something else than the place where they are found."""


@pytest.fixture
def left_by(
    prefect_server: PrefectServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Callable[..., Left]:
    """Runs a flow as a run full of failures is run, and says what it left."""

    def run(begin: Callable[[], State[Any]], *shown: object) -> Left:
        caplog.set_level(logging.DEBUG)
        with results_persisted(tmp_path / "persisted"), parameters_noted([given]) as handed:
            state = begin()
        prefect_server.settled()
        said = capfd.readouterr()
        return Left(
            prefect_server,
            state,
            directory=tmp_path / "run",
            results=tmp_path / "persisted",
            output=said.out + said.err,
            log=caplog.text,
            handed=handed,
            shown=shown,
        )

    return run


@pytest.mark.parametrize("leak", LEAKS)
def test_a_key_planted_in_a_place_is_found_there(leak: str, left_by: Callable[..., Left]) -> None:
    key = key_of(leak)
    parameter = key if leak == "flow parameters" else "nothing"
    shown = make_block(base_url=f"http://127.0.0.1:9/{key if leak == 'reprs' else ''}/v1")
    left = left_by(lambda: leaks(parameter, leak, return_state=True), shown, shown.get_provider())
    assert findings(key, contents_of(STANDS_IN.get(leak, leak), left))
    assert findings(key_of("nowhere"), contents_of(STANDS_IN.get(leak, leak), left)) == []


@pytest.mark.parametrize(
    ("place", "files"),
    [
        ("report", {"report.html", "report.md"}),
        ("run directory", {"results/part-00000.parquet", "_run/manifest.json", "_run/report.html"}),
    ],
)
def test_a_key_planted_in_a_run_is_found_in_its_directory_and_its_report(
    place: str,
    files: set[str],
    left_by: Callable[..., Left],
    scripted_server: ScriptedServer,
    write_documents: WriteDocuments,
    tmp_path: Path,
) -> None:
    """As the model's name, which stands in both."""
    asked: dict[str, Any] = {
        "input": write_documents(3),
        "output": str(tmp_path / "run"),
        "model": key_of(place),
        "prompt": "Say: {{ text }}",
        "api": {"base_url": scripted_server.base_url},
    }
    left = left_by(lambda: batch_inference(**asked, return_state=True))
    found = {line.partition(":")[0] for line in findings(key_of(place), contents_of(place, left))}
    assert found >= files


def test_a_key_is_planted_in_every_place() -> None:
    assert {*LEAKS, "run directory", "report"} - {*STANDS_IN} == set(PLACES)
