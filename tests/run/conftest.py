"""A directory and threads for runs; no engine outlives its test."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.scripted_server.client import ScriptedServer

from prefect_llm.engine import close_engines


@pytest.fixture
def output(tmp_path: Path) -> str:
    return str(tmp_path / "run")


@pytest.fixture
def pool(scripted_server: ScriptedServer) -> Iterator[ThreadPoolExecutor]:
    """Threads for runs that wait for the test; at its end, failed or not, nobody waits any more."""
    with ThreadPoolExecutor() as threads:
        yield threads
        scripted_server.reset()


@pytest.fixture(autouse=True)
def _no_engine_is_left() -> Iterator[None]:
    yield
    close_engines()
