"""An engine may hold as many connections as its provider's limits say, whatever the process was started with."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from prefect_llm.system.event_loop import allow_open_files
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 2_000))
allow_open_files(int(sys.argv[1]))
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
@pytest.mark.parametrize(("connections", "limit"), [(10, "266 2000"), (1_000, "1256 2000"), (4_096, "2000 2000")])
def test_the_process_may_open_as_many_files_as_it_needs_and_is_allowed(connections: int, limit: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(connections)], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == limit
