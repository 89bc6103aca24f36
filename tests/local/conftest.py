"""The real model: fetched once per machine, one server for the whole room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_llm.local import LocalModel, fetch_weights, local_model


@pytest.fixture(scope="session")
def weights() -> Path:
    return fetch_weights()


@pytest.fixture(scope="session")
def model(weights: Path) -> Iterator[LocalModel]:
    with local_model(slots=2, context_tokens_per_slot=512) as started:
        yield started
