"""A source is one file and two lines: a toy one, from its files to answered rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.documents import toy_source
from tests.run.running import provider_at, rows_of, spec_of
from tests.scripted_server.client import ScriptedServer

from prefect_llm.documents import source, survey
from prefect_llm.documents.source import open_source
from prefect_llm.run.opening import open_run
from prefect_llm.run.threads import infer_pending
from prefect_llm.values.errors import InvalidInput


@pytest.fixture
def poem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setitem(source._READERS, "verse", toy_source.VerseSource)
    monkeypatch.setitem(survey._FORMATS, ".verse", "verse")
    path = tmp_path / "poem.verse"
    path.write_text("Rain\nagain\n\nWar?\n")
    return path


def test_it_takes_less_than_thirty_lines() -> None:
    assert len(Path(toy_source.__file__).read_text().splitlines()) < 30


def test_its_documents_are_asked_and_answered(poem: Path, scripted_server: ScriptedServer, tmp_path: Path) -> None:
    run = open_run(str(poem), str(tmp_path / "out"), spec_of(template="{{ text }}"))
    rows = rows_of(infer_pending(run, provider_at(scripted_server.base_url)))
    assert [(row["id"], row["status"]) for row in rows] == [("poem.verse:1", "ok"), ("poem.verse:2", "ok")]
    asked = {received.body["messages"][0]["content"] for received in scripted_server.log()}
    assert asked == {"Rain\nagain", "War?"}


def test_its_fingerprint_follows_its_files(poem: Path) -> None:
    before = open_source(str(poem)).fingerprint()
    poem.write_text("Another\n")
    assert open_source(str(poem)).fingerprint() != before


def test_a_column_that_it_lacks_is_refused_before_anything_is_asked(poem: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="title"):
        open_run(str(poem), str(tmp_path / "out"), spec_of(template="{{ title }}"))
