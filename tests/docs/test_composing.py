"""The flows of docs/compose.md as the page has them, where the provider refuses the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.docs.following import PLACEHOLDERS
from tests.docs.reading import blocks_of
from tests.prefect_server import PrefectServer
from tests.scripted_server.client import ScriptedServer

from prefect_llm import Summary
from prefect_llm.engine import close_engines
from prefect_llm.values.errors import AuthenticationFailed

PAGE = "docs/compose.md"
FLOWS = ("sentiment", "one_by_one", "submitted")


def test_every_flow_of_the_page_fails_by_the_reason_with_its_summary(
    scripted_server: ScriptedServer, prefect_server: PrefectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted_server.expect_key("another")
    names = _names_of_the_page(scripted_server.base_url, tmp_path, monkeypatch)
    for name in FLOWS:
        state = names[name](f"runs/again-{name}", return_state=True)
        assert (name, state.type.value, state.name) == (name, "FAILED", "AuthenticationFailed")
        error = state.result(raise_on_failure=False)
        assert isinstance(error, AuthenticationFailed)
        assert isinstance(error.summary, Summary)
        assert error.summary.totals.pending == 2
        assert "Stopped" in (tmp_path / f"runs/again-{name}/_run/report.md").read_text()


def _names_of_the_page(base_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's blocks define; a block's calls raise what the page says that they raise."""
    close_engines()
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "__page__"}
    raised = []
    for block in blocks_of(PAGE):
        if block.language != "python":
            continue
        code = block.code
        for address in PLACEHOLDERS:
            code = code.replace(f"{address}v1", base_url)
        file = folder / f"compose_{block.line}.py"
        file.write_text(code, encoding="utf-8")
        try:
            exec(compile(code, str(file), "exec"), names)
        except AuthenticationFailed:
            raised.append(block.line)
    assert len(raised) == 2  # the block that catches the error prints it
    return names
