"""A run directory on a local disk and on a remote store, both empty; rows and manifests to put into it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.manifest import Manifest
from prefect_llm.store.spec import spec_fingerprint
from prefect_llm.system.folders import Folder, open_folder


@pytest.fixture(params=["local", "memory"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> RunDirectory:
    if request.param == "local":
        return RunDirectory.open(str(tmp_path / "run"))
    return RunDirectory.open(f"memory://store-tests/{uuid.uuid4().hex}")


@pytest.fixture(params=["local", "memory", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """Where a run directory may come to be; nothing is there yet."""
    if request.param == "local":
        return open_folder(str(tmp_path / "run"))
    if request.param == "memory":
        return open_folder(f"memory://store-tests/{uuid.uuid4().hex}/run")
    return open_folder(f"{request.getfixturevalue('bucket')}/run")


@pytest.fixture
def make_manifest() -> Callable[..., Manifest]:
    def make(**fields: Any) -> Manifest:
        spec = fields.pop("spec", {"prompt": "Sum up {{ text }}", "model": "m"})
        now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        return Manifest(
            run_id="0123456789abcdef0123456789abcdef",
            created_at=now,
            updated_at=now,
            version="0.1.0",
            spec=spec,
            spec_fingerprint=spec_fingerprint(spec),
            **{"snapshot": {"chunks": 3, "rows": 5}, **fields},
        )

    return make
