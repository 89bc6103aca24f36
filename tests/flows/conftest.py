"""Every test here runs the flow against the session's Prefect server and the scripted endpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import WriteDocuments
from tests.flows.running import Parameters
from tests.prefect_server import PrefectServer
from tests.scripted_server.client import ScriptedServer

from prefect_llm.engine import close_engines


@pytest.fixture
def parameters(
    prefect_server: PrefectServer, scripted_server: ScriptedServer, write_documents: WriteDocuments, tmp_path: Path
) -> Parameters:
    """A run of 100 documents in chunks of 30, ten requests at once, by an engine that knows no success yet."""
    close_engines()
    return {
        "input": write_documents(100),
        "output": str(tmp_path / "run"),
        "model": "m",
        "prompt": "Say: {{ text }}",
        "api": {"base_url": scripted_server.base_url},
        "batch": {"chunk_rows": 30, "concurrency": 10},
    }
