"""A sentence is read at a shell, in a flow run's state, under a form: it names what each of them has.

Settings have one name for all, their key. Flags are named where only a shell can be reading.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import prefect_llm
from prefect_llm.values import errors

SOURCE = Path(prefect_llm.__file__).parent
AT_A_SHELL = {
    "cli",
    "simulation",
    "local",
    "settings/sources.py",
    "flows/automations.py",
    "settings/directory_name.py",
}
AT_A_SHELL |= {"store/cleaning.py"}
"""Rooms and modules whose sentences only the command line prints."""
FLAG = re.compile(r"(?<!`run )(?<![\w-])--[a-z]")
"""But for one of a command that is named with it."""


def sentences() -> Iterator[tuple[str, str]]:
    linked = [path for room in ("flows", "tasks", "blocks") for path in (SOURCE / room).glob("*.py")]
    for path in sorted({*SOURCE.rglob("*.py"), *linked}):
        where = path.relative_to(SOURCE).as_posix()
        if where.split("/")[0] in AT_A_SHELL or where in AT_A_SHELL:
            continue
        tree = ast.parse(path.read_text())
        told = {
            id(each.value)
            for each in ast.walk(tree)
            if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)
        }
        for each in ast.walk(tree):
            if isinstance(each, ast.Constant) and isinstance(each.value, str) and id(each) not in told:
                yield f"{where}:{each.lineno}", each.value


def test_no_sentence_names_a_flag_to_a_reader_who_has_a_form() -> None:
    assert [found for found in sentences() if FLAG.search(found[1])] == []


def test_how_a_run_goes_on_is_said_to_those_in_prefect_too() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.RunError)]
    assert len(kinds) > 10
    for kind in kinds:
        assert "same command" not in kind.goes_on or "or Retry in Prefect" in kind.goes_on
