"""One keep-alive connection to the scripted server."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.scripted_server.client import ScriptedServer


@pytest.fixture
def connection(scripted_server: ScriptedServer) -> Iterator[http.client.HTTPConnection]:
    with closing(http.client.HTTPConnection("127.0.0.1", scripted_server.port, timeout=10)) as opened:
        yield opened
