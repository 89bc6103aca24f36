from __future__ import annotations

import pytest

from prefect_llm.flows.progress import percent
from prefect_llm.progress.progress import RunProgress
from prefect_llm.values.tally import Tally


@pytest.mark.parametrize(
    ("figures", "shown"),
    [
        (RunProgress(rows=4), 0.0),
        (RunProgress(4, Tally(1, {"timeout": 1})), 50.0),
        (RunProgress(rows=0), 100.0),  # nothing left to do
        (RunProgress(3, Tally(6)), 100.0),  # a chunk's second attempt counts its rows again
    ],
)
def test_progress_is_the_share_of_rows_that_have_ended(figures: RunProgress, shown: float) -> None:
    assert percent(figures) == shown
