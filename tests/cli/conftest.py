"""A small input, and the options that any run against the scripted server needs."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.commanding import write_documents
from tests.scripted_server.client import ScriptedServer


@pytest.fixture
def endpoint(scripted_server: ScriptedServer) -> list[str]:
    return ["--base-url", scripted_server.base_url, "--model", "m"]


@pytest.fixture
def asking(endpoint: list[str], tmp_path: Path) -> list[str]:
    """A complete command line over ten documents; its output is `out` in the working directory."""
    write_documents(tmp_path / "in.jsonl", 10)
    return ["run", "in.jsonl", "--output", "out", "--prompt", "{{ text }}", "--chunk-rows", "5", *endpoint]
