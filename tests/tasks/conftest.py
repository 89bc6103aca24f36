"""The tasks in flows of a person's own, against the session's Prefect server and the scripted endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from tests.prefect_server import PrefectServer
from tests.scripted_server.client import ScriptedServer

from prefect_llm import LLMProvider, PromptSpec, ProviderReference, RunSpec
from prefect_llm.engine import close_engines
from prefect_llm.settings import ApiOptions

SPEC = RunSpec(prompt=PromptSpec(model="m", template="Say: {{ text }}"), chunk_rows=30)


@pytest.fixture
def output(prefect_server: PrefectServer, tmp_path: Path) -> str:
    """The run's directory; whoever has it has a Prefect server too."""
    close_engines()
    return str(tmp_path / "run")


@pytest.fixture
def provider(scripted_server: ScriptedServer, output: str) -> ProviderReference:
    """The scripted endpoint, as a reference."""
    return ProviderReference(api=ApiOptions(base_url=scripted_server.base_url))


@pytest.fixture(params=["reference", "name", "block"])
def any_provider(request: pytest.FixtureRequest, provider: ProviderReference) -> Any:
    """The scripted endpoint in each of the ways that a task takes."""
    if request.param == "reference":
        return provider
    block = LLMProvider(base_url=provider.api.base_url or "")
    if request.param == "block":
        return block
    block.save("of-the-tasks", overwrite=True)
    return "of-the-tasks"


def ids_of(output: str) -> list[str]:
    """The ids of the result rows, in the order of the parts."""
    return [str(value) for value in ds.dataset(f"{output}/results").to_table(["id"])["id"].to_pylist()]
