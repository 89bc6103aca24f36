from __future__ import annotations

from typing import Any

import pytest
from tests.hosting.scenarios import scenario

from prefect_llm.hosting import compare
from prefect_llm.hosting.weights import Fit


def fit_of(billion: float, precision: str, gpus: int, **more: Any) -> Fit:
    weights = {"name": "w", "parameters_billion": str(billion), "precision": precision, **more}
    found = compare(scenario(hosting={"gpus_per_node": gpus, "weights": weights})).fit
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("billion", "precision", "gpus", "fits"),
    [
        (671, "fp8", 2, False),
        (671, "fp8", 9, False),  # 648 GB usable
        (671, "fp8", 10, True),
        (671, "int4", 5, True),
        (70, "bf16", 1, False),
        (70, "bf16", 2, True),
        (70, "fp8", 1, True),
        (8, "fp32", 1, True),
    ],
)
def test_weights_fit_where_their_bytes_leave_a_tenth_of_all_memory(
    billion: float, precision: str, gpus: int, fits: bool
) -> None:
    found = fit_of(billion, precision, gpus)
    assert found.fits is fits
    assert fit_of(billion, precision, found.gpus_needed).fits
    assert found.gpus_needed == 1 or not fit_of(billion, precision, found.gpus_needed - 1).fits


def test_the_reserve_is_stated() -> None:
    assert fit_of(72, "fp8", 1).fits
    assert not fit_of(72.1, "fp8", 1).fits
    assert fit_of(80, "fp8", 1, reserve=0).fits
