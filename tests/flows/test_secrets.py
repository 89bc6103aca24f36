"""A key never leaves its block or variable: not into logs, errors, artifacts, run directory or database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.flows.running import Parameters, state_of
from tests.prefect_server import PrefectServer
from tests.scripted_server.client import ScriptedServer

from prefect_llm import LLMProvider

KEY = "sk-must-not-leave-7281"
HEADER = "header-must-not-leave-7281"


@pytest.fixture(params=["unsaved", "saved", "by name", "by variable"])
def provider(
    request: pytest.FixtureRequest, parameters: Parameters, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """The parameters that name the provider, in each of the ways there are."""
    base_url = parameters.pop("api")["base_url"]
    if request.param == "by variable":
        monkeypatch.setenv("TEST_SECRET_KEY", KEY)
        return {"api": {"base_url": base_url, "api_key_env": "TEST_SECRET_KEY"}}
    settings: dict[str, Any] = {"base_url": base_url, "api_key": KEY, "headers": {"x-tenant": HEADER}}
    block = LLMProvider(**settings)
    if request.param != "unsaved":
        block.save("secret-keeper", overwrite=True)
    return {"provider": "secret-keeper" if request.param == "by name" else block}


@pytest.mark.parametrize("expected", [KEY, "another"], ids=["completed", "refused by the endpoint"])
def test_secrets_stay_where_they_are(
    expected: str,
    provider: dict[str, Any],
    parameters: Parameters,
    scripted_server: ScriptedServer,
    prefect_server: PrefectServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    scripted_server.expect_key(expected)
    state = state_of(parameters | provider)
    assert state.name == ("Completed" if expected == KEY else "AuthenticationFailed")
    assert {received.headers.get("authorization") for received in scripted_server.log()} == {f"Bearer {KEY}"}
    prefect_server.settled()
    shown = capfd.readouterr()
    said = {
        "output": shown.out + shown.err + caplog.text,
        "state": repr(state) + repr(state.result(raise_on_failure=False)),
        "directory": _content(tmp_path / "run"),
        "database": "".join(prefect_server.rows_with(KEY) + prefect_server.rows_with(HEADER)),
    }
    assert [place for place, text in said.items() if KEY in text or HEADER in text] == []
    assert "/run" in said["directory"]


def test_settings_go_over_an_unsaved_block(parameters: Parameters, scripted_server: ScriptedServer) -> None:
    base_url = parameters.pop("api")["base_url"]
    scripted_server.delay(0.05)
    parameters["batch"] = {"chunk_rows": 30, "concurrency": 3}
    state = state_of(parameters | {"provider": LLMProvider(base_url=base_url, concurrency=20)})
    assert state.name == "Completed"
    assert scripted_server.stats().max_in_flight == 3


def _content(folder: Path) -> str:
    """Every file of the run, parts decoded, since they are compressed."""
    texts = [f"{path}\n" for path in folder.rglob("*")]
    for path in filter(Path.is_file, folder.rglob("*")):
        texts.append(path.read_bytes().decode("utf-8", "replace"))
        if path.suffix == ".parquet":
            texts.append(str(pq.read_table(path).to_pylist()))
    return "".join(texts)
