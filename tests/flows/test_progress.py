from __future__ import annotations

import pytest

from prefect_llm.flows.progress import percent
from prefect_llm.progress.progress import LiveFigures


@pytest.mark.parametrize(
    ("figures", "shown"),
    [
        (LiveFigures(rows=4), 0.0),
        (LiveFigures(rows=4, ok=1, failed=1), 50.0),
        (LiveFigures(rows=0), 100.0),  # nothing left to do
        (LiveFigures(rows=3, ok=6), 100.0),  # a chunk's second attempt counts its rows again
    ],
)
def test_progress_is_the_share_of_rows_that_have_ended(figures: LiveFigures, shown: float) -> None:
    assert percent(figures) == shown
