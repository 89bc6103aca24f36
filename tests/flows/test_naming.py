"""What a flow run is called: its input and who is asked, and no secret of a URL."""

from __future__ import annotations

from typing import Any

import pytest

from prefect_llm import LLMProvider
from prefect_llm.flows.naming import batch_name_of


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"input": "/srv/tickets.parquet", "model": "m", "provider": "p"}, "tickets.parquet with m"),
        ({"input": "/srv/tickets/", "provider": "openai"}, "tickets with openai"),
        ({"input": "/srv/tickets/*.parquet", "model": "m"}, "tickets/*.parquet with m"),
        ({"input": "s3://key:secret@bucket/in.csv?token=t", "model": "m"}, "in.csv with m"),
        ({"input": "s3://key:secret@bucket/*.csv", "model": "m"}, "bucket/*.csv with m"),
        ({"input": "s3://key:se/cret@bucket/", "model": "m"}, "bucket with m"),
        ({"input": "/srv/day-?.csv", "model": "m"}, "day-?.csv with m"),
        ({"input": "in.csv", "provider": LLMProvider(base_url="http://h/v1")}, "in.csv with llm-provider"),
        ({"input": "x" * 200}, "x" * 80),
    ],
)
def test_a_run_is_named_by_what_it_works_on(parameters: dict[str, Any], name: str) -> None:
    assert batch_name_of(parameters) == name
