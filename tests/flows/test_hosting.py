"""The calculator as a flow: figures returned, the page shown as an artifact."""

from __future__ import annotations

from pathlib import Path

from tests.flows.running import flow_run_id
from tests.prefect_server import PrefectServer

from prefect_llm import compare_hosting
from prefect_llm.flows.hosting import HOSTING_KEY
from prefect_llm.hosting import load_scenario


def test_the_comparison_is_returned_and_shown_and_written(prefect_server: PrefectServer, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    state = compare_hosting(scenario=load_scenario(), html=str(page), return_state=True)
    figures = state.result()
    assert figures["models"][0]["monthly"] == "80"
    assert "<svg" in page.read_text(encoding="utf-8")
    shown = prefect_server.artifacts(flow_run_id(state))[HOSTING_KEY]
    assert "Recommended: API, DeepSeek V3.2" in str(shown.data)


def test_a_scenario_that_makes_no_sense_fails_as_refused(prefect_server: PrefectServer) -> None:
    state = compare_hosting(scenario_file="nowhere.yaml", return_state=True)
    assert (state.name, state.is_failed()) == ("Refused", True)
    assert "nowhere.yaml cannot be read" in str(state.message)
