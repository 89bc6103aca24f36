"""Fixtures for every room's tests: the scripted server, a process per session and a clean slate per test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.scripted_server.client import ScriptedServer, start_server


@pytest.fixture
def scripted_server(scripted_server_process: ScriptedServer) -> ScriptedServer:
    """A server that answers everything with an echo until told otherwise."""
    scripted_server_process.reset()
    return scripted_server_process


@pytest.fixture
def second_scripted_server(second_scripted_server_process: ScriptedServer) -> ScriptedServer:
    """Another one, for a second provider."""
    second_scripted_server_process.reset()
    return second_scripted_server_process


@pytest.fixture(scope="session")
def scripted_server_process() -> Iterator[ScriptedServer]:
    with start_server() as server:
        yield server


@pytest.fixture(scope="session")
def second_scripted_server_process() -> Iterator[ScriptedServer]:
    with start_server() as server:
        yield server
