"""`prefect-llm redrive`: failed rows asked again from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.commanding import call
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer


@pytest.fixture
def failed(scripted_server: ScriptedServer, tmp_path: Path) -> Path:
    """A finished run of six documents at `out`, two of which failed."""
    lines = (json.dumps({"id": f"d{n}", "text": f"doc-{n} hello"}) for n in range(6))
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    scripted_server.script({"doc-1": steps.status(400), "doc-4": steps.not_json()})
    options = ["--output", "out", "--model", "m", "--prompt", "{{ text }}", "--base-url", scripted_server.base_url]
    ended = call("run", "in.jsonl", *options, "--quiet", "--max-error-share", "1", cwd=tmp_path)
    assert ended.status == 0
    scripted_server.reset()
    return tmp_path


def test_failed_rows_are_asked_again(scripted_server: ScriptedServer, failed: Path) -> None:
    ended = call("redrive", "out", "--base-url", scripted_server.base_url, "--quiet", "--json", cwd=failed)
    summary = json.loads(ended.out.splitlines()[-1])
    assert (ended.status, summary["ok"], summary["failed"], summary["requests"]) == (0, 6, 0, 2)


def test_only_some_kinds_are_asked_of_another_model(scripted_server: ScriptedServer, failed: Path) -> None:
    options = ["--base-url", scripted_server.base_url, "--only", "bad_response,timeout", "--model", "n"]
    ended = call("redrive", "out", *options, "--quiet", "--json", "--max-error-share", "1", cwd=failed)
    summary = json.loads(ended.out.splitlines()[-1])
    assert (ended.status, summary["failed_by_kind"]) == (0, {"rejected": 1})
    assert list(scripted_server.stats().by_document) == ["doc-4"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--only", "bad"], "prefect-llm: --only: 'bad' is not a kind of failure; they are bad_document, rejected, "),
        ([], "prefect-llm: no provider: give --provider"),
    ],
    ids=["an unknown kind", "nobody to ask"],
)
def test_what_cannot_be_asked_is_refused(failed: Path, options: list[str], sentence: str) -> None:
    ended = call("redrive", "out", *options, cwd=failed)
    assert ended.status == 2
    assert ended.err.startswith(sentence)
