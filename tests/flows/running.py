"""Running the flow in this process, and reading what it left."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pyarrow.dataset as ds
from prefect.client.schemas.objects import State

from prefect_llm import Summary, batch_inference

Parameters = dict[str, Any]


def run(parameters: Parameters) -> Summary:
    """The flow as a person calls it: the summary, or the error raised."""
    return cast(Summary, batch_inference(**parameters))


def state_of(parameters: Parameters) -> State[Summary]:
    """The final state of the flow run; nothing is raised."""
    return batch_inference(**parameters, return_state=True)


def flow_run_id(state: State[Any]) -> UUID:
    found = state.state_details.flow_run_id
    assert found is not None
    return found


def rows_of(output: str | Path) -> list[dict[str, Any]]:
    """Every result row, in the order of the parts."""
    return cast(list[dict[str, Any]], ds.dataset(f"{output}/results").to_table().to_pylist())
