"""What docs/contract.md promises is what the code has."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from tests.docs.reading import ROOT

from prefect_llm.cli.exit_status import Exit
from prefect_llm.report import Summary, Totals
from prefect_llm.settings import options
from prefect_llm.store import directory
from prefect_llm.store.schema import result_schema
from prefect_llm.values.outcome import ErrorKind

PAGE = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
SECTIONS = dict(zip(*[iter(re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)[1:])] * 2, strict=True))


def rows_of(section: str) -> list[list[str]]:
    """The cells of the section's table, without its head and without the marks of code."""
    rows = re.findall(r"^\| (.+) \|$", SECTIONS[section], flags=re.MULTILINE)
    return [[cell.strip().strip("`") for cell in row.split(" | ")] for row in rows[2:]]


def test_the_columns_are_those_of_a_part_by_order_type_and_whether_they_may_be_null() -> None:
    schema = result_schema(kept=pa.schema([]), output_type=pa.struct([]), keep_raw=True, keep_reasoning=True)
    types = {field.name: str(field.type) for field in schema} | {"output": "struct"}
    assert rows_of("Rows") == [
        [field.name, types[field.name], "may be" if field.nullable else "never"] for field in schema
    ]


def test_the_exit_statuses_are_those_of_the_command_line() -> None:
    assert [int(exit_) for exit_, *_ in rows_of("Exit status")] == list(Exit)


def test_the_keys_of_the_summary_are_those_of_the_object_in_its_order() -> None:
    summary = Summary(Totals(rows=0), "completed", "run")
    assert [key for key, *_ in rows_of("Summary as JSON")] == list(summary.to_json())


def test_the_error_kinds_are_all_named_in_their_order() -> None:
    assert [kind for kind, *_ in rows_of("Error kinds")] == list(ErrorKind)


def test_what_is_fixed_for_a_run_is_what_the_options_say() -> None:
    (fixed,) = re.findall(r"\*\*Fixed for a run\*\*: (.+?)\. A different", SECTIONS["Run directory"], flags=re.DOTALL)
    assert set(re.findall(r"`(\w+)`", fixed)) == {key for key, option in options().items() if not option.is_free}


@pytest.mark.parametrize("name", [directory.MANIFEST, directory.REPORT, directory.PAGE, directory.LEDGER])
def test_the_files_of_a_run_are_on_the_page(name: str) -> None:
    assert f"`{name}`" in SECTIONS["Run directory"]


def test_every_citation_in_the_code_names_a_section() -> None:
    sources = [path for folder in ("src", "tests") for path in (ROOT / folder).rglob("*.py")]
    cited = {
        name for path in sources for name in re.findall(r"docs/contract\.md, (.+?)[).:\"]", path.read_text("utf-8"))
    }
    assert cited
    assert cited <= SECTIONS.keys()
