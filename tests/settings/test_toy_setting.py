"""A setting is one field: its flag, variable, key of run.yaml, form field and markers follow from it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
from cyclopts import Group
from pydantic import Field

from prefect_llm.cli.options import _of_option
from prefect_llm.settings import BatchOptions, RunSettings, layers, load
from prefect_llm.settings.field_markers import FIXED
from prefect_llm.settings.options import options, sections
from prefect_llm.settings.value_types import Count
from prefect_llm.values.errors import InvalidInput


class BatchWithNaps(BatchOptions):
    naps: Annotated[Count | None, FIXED] = Field(default=None, title="Naps", description="How often to pause.")


class SettingsWithNaps(RunSettings):
    batch: BatchWithNaps = BatchWithNaps()


@pytest.fixture(autouse=True)
def _added(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys.modules[options.__module__], "RunSettings", SettingsWithNaps)
    monkeypatch.setattr(layers, "RunSettings", SettingsWithNaps)
    _forget_options()
    yield
    _forget_options()


def _forget_options() -> None:
    sections.cache_clear()
    options.cache_clear()


def naps_in(settings: RunSettings) -> int | None:
    assert isinstance(settings.batch, BatchWithNaps)
    return settings.batch.naps


def test_it_comes_by_flag_variable_and_file_the_stronger_first(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("batch:\n  naps: 1\n")
    variable = {"PREFECT_LLM_NAPS": "2"}
    assert naps_in(load({}, {})) is None
    assert naps_in(load({}, {}, str(config))) == 1
    assert naps_in(load({}, variable, str(config))) == 2
    assert naps_in(load({"naps": "3"}, variable, str(config))) == 3


def test_a_wrong_value_is_refused_by_the_name_it_came_by() -> None:
    with pytest.raises(InvalidInput, match=r"^--naps: expected a whole number of 1 or more, got"):
        load({"naps": "often"}, {})


def test_the_command_line_and_the_form_explain_it() -> None:
    parameter = _of_option(options()["naps"], Group("Batch"))
    assert "How often to pause." in str(parameter.annotation)
    assert BatchWithNaps.model_json_schema()["properties"]["naps"]["title"] == "Naps"


def test_its_marker_says_that_a_resumed_run_keeps_it() -> None:
    option = options()["naps"]
    assert (option.place, option.is_free, option.is_of_block) == ("batch.naps", False, False)
