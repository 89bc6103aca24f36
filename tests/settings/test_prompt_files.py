from __future__ import annotations

from pathlib import Path

import pytest

from prefect_llm.settings import answer_schema, load, prompt_text
from prefect_llm.values.errors import InvalidInput

HINT = "a relative path starts at the current directory"


def test_a_prompt_comes_as_it_is() -> None:
    assert prompt_text(load({"prompt": " {{ text }}\n"}, {})) == " {{ text }}\n"


def test_without_a_prompt_or_schema_there_is_none() -> None:
    assert prompt_text(load({}, {})) is None
    assert answer_schema(load({}, {})) is None


def test_a_prompt_file_is_taken_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_bytes("Grüß {{ name }}\r\n\r\n".encode())
    assert prompt_text(load({"prompt_file": str(tmp_path / "prompt.txt")}, {})) == "Grüß {{ name }}\r\n\r\n"


def test_relative_paths_start_at_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "run.yaml").write_text("prompt:\n  prompt_file: prompt.txt\n")
    (tmp_path / "prompt.txt").write_text("here")
    monkeypatch.chdir(tmp_path)
    assert prompt_text(load({}, {}, "config/run.yaml")) == "here"


def test_a_prompt_file_that_will_not_do_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("latin.txt").write_bytes(b"caf\xe9")
    Path("empty.txt").write_bytes(b"")
    assert _refused_prompt("no.txt") == f"the prompt file no.txt cannot be read: No such file or directory; {HINT}"
    assert _refused_prompt("latin.txt") == "the prompt file latin.txt is not UTF-8 at byte 3: save it as UTF-8"
    assert _refused_prompt("empty.txt") == "the prompt file empty.txt is empty: write the prompt into it"


def test_a_schema_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"type": "object"}')
    assert answer_schema(load({"schema": str(tmp_path / "schema.json")}, {})) == {"type": "object"}


def test_a_schema_file_that_will_not_do_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.json").write_text('{\n "type" "object"}')
    Path("list.json").write_text("[]")
    assert _refused_schema("no.json") == f"the schema file no.json cannot be read: No such file or directory; {HINT}"
    assert _refused_schema("broken.json").startswith("the schema file broken.json line 2: not JSON: ")
    assert _refused_schema("list.json") == (
        "the schema file list.json must hold a JSON object that describes the answer"
    )


def _refused_prompt(path: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        prompt_text(load({"prompt_file": path}, {}))
    return caught.value.message


def _refused_schema(path: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        answer_schema(load({"schema": path}, {}))
    return caught.value.message
