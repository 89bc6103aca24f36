"""CONTRIBUTING.md names the files that a change touches: they are there, and a registry is one line a member."""

from __future__ import annotations

import re

import pytest
from tests.docs.reading import ROOT

from prefect_llm.documents.source import open_source
from prefect_llm.lanes.lanes import LANES
from prefect_llm.wire.formats import FORMATS

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLACEHOLDER = "NAME"


def named_files(page: str) -> list[str]:
    return sorted(set(re.findall(r"`((?:src|tests|docs)/[\w./]+\.(?:py|md))`", page)))


@pytest.mark.parametrize("file", named_files(PAGE))
def test_a_file_that_is_named_is_there_or_its_folder_if_it_is_to_be_made(file: str) -> None:
    path = ROOT / file
    assert path.parent.is_dir() if PLACEHOLDER in path.name else path.is_file()


@pytest.mark.parametrize("kind", ["wire format", "lane", "source of documents", "setting"])
def test_what_a_person_adds_has_an_entry_with_files(kind: str) -> None:
    (entry,) = re.findall(rf"^- \*\*A {kind}\*\*(.*?)(?=^- \*\*)", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert named_files(entry)


def test_a_member_of_a_registry_lives_in_the_room_that_the_page_names() -> None:
    assert {type(format_).__module__.rpartition(".")[0] for format_ in FORMATS.values()} == {"prefect_llm.wire"}
    assert {type(lane).__module__.rpartition(".")[0] for lane in LANES.values()} == {"prefect_llm.lanes"}
    assert open_source.__module__ == "prefect_llm.documents.source"
