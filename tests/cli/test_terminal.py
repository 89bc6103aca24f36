"""On a terminal, where standard output and standard error are read together."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.cli.commanding import COMMAND, DEADLINE_S, environment
from tests.scripted_server.client import ScriptedServer


def shown(command: Sequence[str], cwd: Path, stdout: int | None = None, status: int = 3) -> str:
    """What a terminal shows of a command, whose standard output may go elsewhere."""
    ours, terminal = pty.openpty()
    environ = environment() | {"PREFECT_LLM_API_KEY": "wrong", "TERM": "dumb", "COLUMNS": "300"}
    with subprocess.Popen(
        [str(COMMAND), *command], cwd=cwd, env=environ, stdout=stdout or terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        try:
            said = _all_of(ours)
            assert process.wait(DEADLINE_S) == status
        finally:
            process.kill()
            os.close(ours)
    return said


def _all_of(terminal: int) -> str:
    content = b""
    while True:
        try:
            read = os.read(terminal, 65536)
        except OSError:  # how a terminal ends whose last writer is gone
            return content.decode()
        if not read:
            return content.decode()
        content += read


def test_why_a_run_stopped_is_said_once(scripted_server: ScriptedServer, asking: list[str], tmp_path: Path) -> None:
    scripted_server.expect_key("right")
    for options in ([], ["--json"]):
        summary, _, _ = shown([*asking, *options], tmp_path).partition('{"state":')
        assert summary.count("127.0.0.1 refused the key") == 1
        assert "Stopped early: 0 of 10 documents answered" in summary


def test_without_the_summary_beside_it_the_sentence_stands_alone(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.expect_key("right")
    assert shown([*asking, "--quiet"], tmp_path).count("prefect-llm: 127.0.0.1 refused the key") == 1
    with open(tmp_path / "summary.txt", "w") as file:
        said = shown(asking, tmp_path, file.fileno())
    assert said.count("prefect-llm: 127.0.0.1 refused the key") == 1
    assert "refused the key" in (tmp_path / "summary.txt").read_text()


def test_the_comparison_of_costs_is_drawn_there_and_stays_markdown_in_a_file(tmp_path: Path) -> None:
    said = shown(["costs"], tmp_path, status=0)
    assert "Recommended: API, DeepSeek V3.2 (rule: low volume)" in said
    assert [mark for mark in ("**", "##", "| ", "---:") if mark in said] == []
    with open(tmp_path / "costs.md", "w") as file:
        shown(["costs"], tmp_path, file.fileno(), status=0)
    assert "**Recommended: API, DeepSeek V3.2** (rule: low volume)" in (tmp_path / "costs.md").read_text()
