"""What the docs list is what the code has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pyarrow as pa
import pytest
from tests.docs.reading import ROOT
from tests.hosting.test_reference_case import script

import prefect_llm
from prefect_llm.documents.arrow_types import result_type
from prefect_llm.simulation.faults import Fault
from prefect_llm.store.schema import RESULT_COLUMNS, result_schema
from prefect_llm.values.errors import RunError
from prefect_llm.values.outcome import ErrorKind


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_run_yaml_shows_every_option_as_the_settings_have_it() -> None:
    assert script("run_yaml").with_options(page("run-yaml.md")) == page("run-yaml.md"), "run python docs/run_yaml.py"


def test_the_commands_are_all_there_and_explained_by_their_own_help() -> None:
    maker = script("commands")
    assert maker.with_help(page("commands.md")) == page("commands.md"), "run python docs/commands.py"
    headings = re.findall(r"^## (.+)$", page("commands.md"), flags=re.MULTILINE)
    assert sorted(headings) == sorted(maker.commands())


def test_the_words_of_a_context_that_is_too_long_are_those_of_the_code() -> None:
    maker = script("providers")
    assert maker.with_words(page("providers.md")) == page("providers.md"), "run python docs/providers.py"


def test_the_columns_are_those_of_a_part_in_order_and_by_type() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page("rows.md").split("## Kinds")[0], flags=re.MULTILINE)
    assert tuple(name for name, _ in rows) == RESULT_COLUMNS
    schema = result_schema(kept=pa.schema([]), output_type=pa.struct([]), keep_raw=True, keep_reasoning=True)
    types = {field.name: str(field.type) for field in schema} | {"output": "struct"}
    assert dict(rows) == types


def test_the_kinds_of_failures_are_those_of_the_code_in_order() -> None:
    section = page("rows.md").split("## Kinds")[1].split("## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE) == list(ErrorKind)


@pytest.mark.parametrize(
    "type",
    [
        pa.decimal32(5, 2),
        pa.decimal256(20, 2),
        pa.decimal256(50, 2),
        pa.time32("ms"),
        pa.time64("us"),
        pa.timestamp("us", "Europe/Berlin"),
        pa.timestamp("s"),
        pa.date64(),
        pa.float16(),
        pa.large_string(),
        pa.list_(pa.int32(), 2),
        pa.duration("us"),
        pa.month_day_nano_interval(),
        pa.struct({"a": pa.int64(), "A": pa.int64()}),
        pa.struct({"at": pa.time32("ms")}),
    ],
    ids=str,
)
def test_kept_columns_are_written_as_the_table_says(type: pa.DataType) -> None:
    table = page("rows.md").split("## Kept input columns")[1]
    listed = dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", table, flags=re.MULTILINE))
    held = result_type(type)
    assert listed[str(type)] == ("JSON text" if held is None else f"`{held}`")


def test_the_kinds_of_faults_to_rehearse_are_those_of_the_simulator_in_order() -> None:
    faults = re.findall(r"^\| `(\w+)` \|", page("rehearse.md").split("| `--fault` |")[1], flags=re.MULTILINE)
    assert faults == list(Fault)


def test_every_reason_to_stop_a_run_is_in_troubleshooting() -> None:
    own_state = {"InvalidInput", "Interrupted", "UnexpectedError"}  # Refused, Cancelled, Failed
    reasons = {each.__name__ for each in RunError.__subclasses__()} - own_state
    listed = re.findall(r"^\| `(\w+)` \|", page("troubleshooting.md"), flags=re.MULTILINE)
    assert set(listed) == reasons


def test_every_public_name_is_in_the_python_reference_and_no_other() -> None:
    shown = re.findall(r"^::: [\w.]+\.(\w+)$", page("python.md"), flags=re.MULTILINE)
    assert sorted(shown) == prefect_llm.__all__


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    tomllib.loads(text)
    pages = {path.name for path in Path(ROOT / "docs").glob("*.md")}
    assert set(re.findall(r'= "([\w-]+\.md)"', text)) == pages
