"""No engine outlives its test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prefect_llm.engine import close_engines


@pytest.fixture(autouse=True)
def _no_engine_is_left() -> Iterator[None]:
    yield
    close_engines()
