"""A lane of the tests' own, registered for one test; the directory and threads of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.lanes.bulk_lane import NAME, BulkLane, register
from tests.run.conftest import output, pool

from prefect_llm.lanes.lanes import LANES

__all__ = ["bulk", "output", "pool"]


@pytest.fixture
def bulk(tmp_path: Path) -> Iterator[BulkLane]:
    lane = register(tmp_path / "provider")
    yield lane
    lane.answer_all()  # a failed test leaves none waiting
    del LANES[NAME]
