"""What pyproject.toml promises is what lies in the tree, and the public names are these."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAPPED = ("blocks", "examples", "flows", "tasks")

PUBLIC = {
    "prefect_llm": [
        "ApiOptions", "ApprovalOptions", "BatchOptions", "ChunkStats", "DocumentOptions", "ErrorKind",
        "Estimate", "InvalidInput", "LLMBatchError", "LLMProvider", "ModelPrice", "MonitoringOptions",
        "PromptSpec", "ProviderReference", "Run", "RunBudget", "RunError", "RunSpec", "SampleOptions",
        "Scenario", "Summary", "TooManyFailedRows", "batch_inference", "compare_hosting", "estimate_cost",
        "estimate_documents", "estimate_run", "failed_by_reason", "finish_run", "in_thread", "infer_chunk",
        "load_documents", "read_results", "read_summary", "redrive_chunk", "redrive_failures",
    ],
    "prefect_llm.blocks": ["LLMProvider", "ModelPrice", "ProviderReference", "load_block", "resolve_provider"],
    "prefect_llm.flows": [
        "ApprovalOptions", "batch_inference", "compare_hosting", "estimate_cost", "failed_by_reason",
        "redrive_failures",
    ],
    "prefect_llm.tasks": [
        "estimate_documents", "estimate_run", "finish_run", "infer_chunk", "load_documents", "redrive_chunk",
    ],
}  # fmt: skip
CORE = (
    "prefect_llm", "prefect_llm.engine", "prefect_llm.run.chunk", "prefect_llm.settings", "prefect_llm.local",
    "prefect_llm.cli", "prefect_llm.cli.commands.run",
)  # fmt: skip


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_of_the_tree_is_listed_and_no_other(pyproject: dict[str, Any]) -> None:
    listed = pyproject["tool"]["setuptools"]["packages"]
    assert listed == sorted(_packages())


def test_every_data_file_of_a_package_is_named_as_package_data(pyproject: dict[str, Any]) -> None:
    patterns = pyproject["tool"]["setuptools"]["package-data"]
    missing = [
        str(file.relative_to(ROOT))
        for package in _packages()
        for file in _folder(package).iterdir()
        if file.is_file() and file.suffix not in (".py", ".pyc", ".md")
        if not any(file.match(pattern) for name in (package, "*") for pattern in patterns.get(name, []))
    ]
    assert missing == []


@pytest.mark.parametrize("folder", MAPPED)
def test_editors_find_the_top_level_folders_below_the_package(folder: str) -> None:
    link = ROOT / "src" / "prefect_llm" / folder
    assert link.is_symlink()
    assert (os.readlink(link), link.resolve()) == (f"../../{folder}", ROOT / folder)


def test_a_room_imported_by_its_folder_is_refused() -> None:
    code = (
        "import importlib\n"
        "for name in ('blocks', 'flows', 'tasks'):\n"
        "    try: print(importlib.import_module(name))\n"
        "    except ImportError as refusal: print(refusal)\n"
    )
    ended = _python(code, cwd=ROOT)
    assert ended.stdout.splitlines() == [
        f"import prefect_llm.{name}, not {name}" for name in ("blocks", "flows", "tasks")
    ], ended.stderr


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names_are_exactly_these_and_all_are_there(module: str) -> None:
    room = importlib.import_module(module)
    assert room.__all__ == PUBLIC[module]
    assert all(getattr(room, name) is not None for name in room.__all__)


def test_the_package_shows_its_names_before_they_are_imported_and_refuses_others() -> None:
    code = (
        "import sys, prefect_llm\n"
        "assert set(prefect_llm.__all__) <= set(dir(prefect_llm))\n"
        "assert 'prefect' not in sys.modules\n"
        "assert prefect_llm.batch_inference is prefect_llm.flows.batch_inference\n"
        "prefect_llm.BatchProcessor\n"
    )
    ended = _python(code)
    assert ended.stderr.splitlines()[-1] == "AttributeError: module 'prefect_llm' has no attribute 'BatchProcessor'"


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_without_prefect(module: str) -> None:
    ended = _python(f"import sys, {module}; print([name for name in sys.modules if name.split('.')[0] == 'prefect'])")
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr


def test_prefect_finds_the_blocks_by_their_entry_point() -> None:
    (found,) = {point for point in entry_points(group="prefect.collections") if point.name == "prefect_llm"}
    assert found.value == "prefect_llm.blocks"
    assert found.load().LLMProvider.__name__ == "LLMProvider"


def _packages() -> Iterator[str]:
    source = ROOT / "src"
    for folder, _, files in os.walk(source, followlinks=True):
        if "__init__.py" in files:
            yield ".".join(Path(folder).relative_to(source).parts)


def _folder(package: str) -> Path:
    return ROOT.joinpath("src", *package.split("."))


def _python(code: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120)
