"""The wheel and the sdist of a release: what is in them, and that the wheel alone does a run."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

from tests.packaging.conftest import ROOT, Installed, Release
from tests.scripted_server.client import ScriptedServer

MODULES = [
    "prefect_llm", "prefect_llm.blocks", "prefect_llm.cli.commands.run", "prefect_llm.examples", "prefect_llm.flows",
    "prefect_llm.local.weights", "prefect_llm.run.chunk", "prefect_llm.tasks",
]  # fmt: skip
DATA = (".jsonl", ".json", ".txt", ".yaml")


def test_the_wheel_puts_only_prefect_llm_into_site_packages(release: Release) -> None:
    with zipfile.ZipFile(release.wheel) as wheel:
        names = wheel.namelist()
    assert {name.split("/")[0] for name in names} == {"prefect_llm", _dist_info(release)}
    assert not [name for name in names if name.endswith((".pyc", ".pth")) or "/tests/" in name]


def test_the_wheel_holds_every_module_of_the_tree(release: Release) -> None:
    with zipfile.ZipFile(release.wheel) as wheel:
        shipped = {name for name in wheel.namelist() if name.endswith(".py")}
    source = ROOT / "src"
    in_the_tree = {
        (Path(folder) / name).relative_to(source).as_posix()
        for folder, _, names in os.walk(source, followlinks=True)
        for name in names
        if name.endswith(".py")
    }
    assert shipped == in_the_tree


def test_the_wheel_ships_its_data_types_script_and_entry_point(release: Release) -> None:
    with zipfile.ZipFile(release.wheel) as wheel:
        names = set(wheel.namelist())
        points = wheel.read(f"{_dist_info(release)}/entry_points.txt").decode()
        metadata = wheel.read(f"{_dist_info(release)}/METADATA").decode()
    assert "prefect_llm/py.typed" in names
    data = {f"prefect_llm/examples/{name.name}" for name in (ROOT / "examples").iterdir() if name.suffix in DATA}
    assert {"prefect_llm/examples/messages.jsonl", "prefect_llm/examples/prompt.txt"} < data <= names
    assert points.split() == [
        "[console_scripts]", "prefect-llm", "=", "prefect_llm.cli:main",
        "[prefect.collections]", "prefect_llm", "=", "prefect_llm.blocks",
        "prefect_llm_worker", "=", "prefect_llm.workers",
    ]  # fmt: skip
    assert "License-File: LICENSE" in metadata.splitlines()


def test_the_build_complains_of_no_package_that_is_absent_from_the_list(release: Release) -> None:
    assert "would be ignored" not in release.said


def test_the_sdist_holds_what_a_person_needs_to_work_on_it_and_no_rubbish(release: Release) -> None:
    with tarfile.open(release.sdist) as sdist:
        names = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
    wanted = {
        "Makefile", "LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "pyproject.toml",
        "deployments/run.yaml", "examples/messages.jsonl", "tests/conftest.py", "tests/scripted_server/server.py",
        "tests/packaging/test_release.py", "docs/check.py", "benchmarks/client_cpu.py", "blocks/provider.py",
        "flows/batch.py", "tasks/loading.py", "src/prefect_llm/run/chunk.py", "src/prefect_llm/py.typed",
    }  # fmt: skip
    assert wanted <= names
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".parquet", ".gguf"))]
    assert not [name for name in names if name.startswith((".venv", "runs/", "build/", "dist/"))]


def test_the_installed_package_is_all_from_site_packages(installed: Installed, tmp_path: Path) -> None:
    code = (
        "import importlib, json, sys\n"
        f"found = [importlib.import_module(name).__file__ for name in {MODULES}]\n"
        "loaded = [m.__file__ for m in list(sys.modules.values()) if getattr(m, '__file__', None)]\n"
        "print(json.dumps([found, loaded]))\n"
    )
    found, loaded = installed.python(code, tmp_path)
    assert all(Path(file).is_relative_to(installed.site_packages / "prefect_llm") for file in found)
    environment = Path(os.environ.get("VIRTUAL_ENV", ROOT / ".venv"))
    of_the_checkout = [
        file for file in loaded if Path(file).is_relative_to(ROOT) and not Path(file).is_relative_to(environment)
    ]
    assert of_the_checkout == []


def test_installing_adds_the_package_its_dist_info_and_the_script(installed: Installed, release: Release) -> None:
    added = {path.name for path in installed.site_packages.iterdir()} - {"third_party.pth"}
    assert added == {"prefect_llm", _dist_info(release)}
    scripts = {path.name for path in (installed.folder / "bin").iterdir()}
    assert {name for name in scripts if not name.lower().startswith(("activate", "python"))} == {"prefect-llm"}


def test_folder_names_of_the_checkout_are_no_modules_where_it_is_installed(
    installed: Installed, tmp_path: Path
) -> None:
    code = (
        "import json\nfrom importlib.util import find_spec\n"
        "print(json.dumps([name for name in ('blocks', 'flows', 'tasks', 'examples') if find_spec(name)]))\n"
    )
    assert installed.python(code, tmp_path) == []


def test_the_installed_command_does_a_run_with_the_sources_out_of_reach(
    installed: Installed, scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("id,text\n1,doc-1 one\n2,doc-2 two\n")
    command = [
        str(installed.command), "run", "in.csv", "--output", "out", "--prompt", "{{ text }}", "--json", "--quiet",
        "--base-url", scripted_server.base_url, "--model", "m",
    ]  # fmt: skip
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PREFECT_LLM"))}
    ended = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["ok"] == 2
    assert (tmp_path / "out" / "results" / "part-00000.parquet").exists()
    manifest = json.loads((tmp_path / "out" / "_run" / "manifest.json").read_text())
    assert manifest["version"] == release_version(installed)


def test_the_examples_are_read_as_resources(installed: Installed, tmp_path: Path) -> None:
    code = (
        "import json\nfrom importlib.resources import files\n"
        "folder = files('prefect_llm.examples')\n"
        "print(json.dumps([len(folder.joinpath('messages.jsonl').read_text().splitlines()),"
        " json.loads(folder.joinpath('schema.json').read_text())['required']]))\n"
    )
    assert installed.python(code, tmp_path) == [60, ["label"]]


def test_building_left_nothing_in_the_checkout(release: Release) -> None:
    assert release.left_behind == []


def release_version(installed: Installed) -> str:
    (folder,) = installed.site_packages.glob("prefect_llm-*.dist-info")
    return folder.name.removeprefix("prefect_llm-").removesuffix(".dist-info")


def _dist_info(release: Release) -> str:
    return "-".join(release.wheel.name.split("-")[:2]) + ".dist-info"
