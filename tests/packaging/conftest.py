"""A release as it is made, built once from a copy of the tree, and installed where no source can be reached."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".cache", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", "build", "dist", "runs"
)


@dataclass(frozen=True, slots=True)
class Release:
    """The two files that a release uploads, what building them left in the checkout, and what the build said."""

    sdist: Path
    wheel: Path
    left_behind: list[str]
    said: str


@dataclass(frozen=True, slots=True)
class Installed:
    """The wheel in an environment of its own, which sees this one's third-party packages and no checkout."""

    folder: Path

    @property
    def site_packages(self) -> Path:
        """Where the wheel lies."""
        return Path(sysconfig.get_path("purelib", "venv", {"base": str(self.folder)}))

    @property
    def command(self) -> Path:
        """The console script."""
        return self.folder / "bin" / "prefect-llm"

    def python(self, code: str, cwd: Path) -> Any:
        """What the code prints as JSON, run in isolation from the working directory and PYTHONPATH."""
        command = [str(self.folder / "bin" / "python"), "-I", "-c", code]
        ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    copy, dist = tmp_path_factory.mktemp("release") / "checkout", tmp_path_factory.mktemp("dist")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=LEFT_OUT)
    before = _traces()
    # Without --wheel or --sdist the wheel is built from the sdist, which proves that nothing is missing there.
    built = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(dist), str(copy)], capture_output=True, text=True, timeout=300
    )
    assert built.returncode == 0, built.stdout[-3_000:] + built.stderr[-3_000:]
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    return Release(sdist, wheel, sorted(_traces() - before), built.stdout + built.stderr)


@pytest.fixture(scope="session")
def installed(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    environment = Installed(folder)
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(folder / "bin" / "python")]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(release.wheel)], check=True, env=_own_environ())
    # The .pth files of a folder that a .pth names are not read: an editable install there stays unseen.
    (environment.site_packages / "third_party.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return environment


def _traces() -> set[str]:
    return {str(path.relative_to(ROOT)) for name in ("build", "dist") for path in (ROOT / name).rglob("*")}


def _own_environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
