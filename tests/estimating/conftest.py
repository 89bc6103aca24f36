"""A directory for runs; no engine outlives its test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_llm.engine import close_engines


@pytest.fixture
def output(tmp_path: Path) -> str:
    return str(tmp_path / "run")


@pytest.fixture(autouse=True)
def _no_engine_is_left() -> Iterator[None]:
    yield
    close_engines()
