"""Finds the runs below a directory, where an output template has put them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.manifest import Manifest
from prefect_llm.system.folders import open_folder
from prefect_llm.values.errors import InvalidInput

LEVELS_SEARCHED = 4
"""How deep runs may lie below a base directory: `{scheduled:%Y/%m/%d/%H}`."""
PREVIOUS = "previous"
"""Instead of a directory: the runs before this one under the same output template."""
_LOOKS_AT_ONCE = 16

logger = logging.getLogger(__name__)


def runs_below(base: str) -> list[tuple[RunDirectory, Manifest]]:
    """Like `find_runs`, but an absent directory has none, and an unreadable run is skipped with a warning."""
    try:
        return find_runs(base, _readable_manifest)
    except (FileNotFoundError, NotADirectoryError):
        return []


def find_runs(
    base: str, manifest_of: Callable[[RunDirectory], Manifest | None] = RunDirectory.manifest
) -> list[tuple[RunDirectory, Manifest]]:
    """The runs below a base directory, level by level. Does not descend into runs or hidden folders.

    Raises `InvalidInput` for a manifest that cannot be read, `OSError` if there is no such directory.
    """
    runs: list[tuple[RunDirectory, Manifest]] = []
    level = [base.rstrip("/")]
    with ThreadPoolExecutor(_LOOKS_AT_ONCE, thread_name_prefix="find-runs") as pool:
        for _ in range(LEVELS_SEARCHED):
            names = zip(level, pool.map(_folders, level), strict=True)
            below = [f"{parent}/{name}" for parent, found in names for name in found if name[0] != "."]
            directories = [RunDirectory.open(each) for each in below]
            manifests = list(pool.map(manifest_of, directories))
            looked_at = zip(directories, manifests, strict=True)
            runs += [(directory, manifest) for directory, manifest in looked_at if manifest is not None]
            level = [each for each, manifest in zip(below, manifests, strict=True) if manifest is None]
    return runs


def _readable_manifest(directory: RunDirectory) -> Manifest | None:
    try:
        return directory.manifest()
    except InvalidInput as error:
        logger.warning("skipped: %s", error)
        return None


def _folders(url: str) -> list[str]:
    return open_folder(url).folders()
