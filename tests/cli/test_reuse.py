"""`--reuse previous`: by the output's template the command finds what the runs before it have paid for."""

from __future__ import annotations

from pathlib import Path

from tests.cli.commanding import call, write_documents
from tests.scripted_server.client import ScriptedServer


def nightly(asking: list[str], name: str) -> list[str]:
    """The command line of a night, which has a name: a test cannot wait for another date."""
    output = asking.index("--output") + 1
    named = f"nights/{name}-{{scheduled:%Y}}"
    return [*asking[:output], named, *asking[output + 1 :], "--reuse", "previous", "--json"]


def test_the_second_night_pays_for_new_rows_only(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    first = call(*nightly(asking, "a"), cwd=tmp_path)
    assert (first.status, first.summary["requests"], first.summary["reused"]) == (0, 10, 0), first.err
    assert "no earlier run below nights" in first.err
    write_documents(tmp_path / "in.jsonl", 12)
    second = call(*nightly(asking, "b"), cwd=tmp_path)
    assert (second.status, second.summary["requests"], second.summary["reused"]) == (0, 2, 10), second.err
    assert scripted_server.stats().requests == 12


def test_an_output_without_a_date_is_refused(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    done = call(*asking, "--reuse", "previous", cwd=tmp_path)
    assert done.status == 2
    (refusal,) = done.refusals
    assert refusal.startswith("reuse: output 'out' names one directory only")
    assert not (tmp_path / "out").exists()
    assert scripted_server.stats().requests == 0
