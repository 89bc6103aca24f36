"""No module but a format's own knows one: the word `chat` stands in no other source file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import prefect_llm

PACKAGE = Path(prefect_llm.__file__).parent
OF_A_FORMAT = ("wire/", "simulation/openai_chat.py")
MODELS_OWN = "a chat template puts around"
"""A template of a model's tokenizer, whatever is asked of the model."""
ALLOWED = {
    "values/provider.py": ['DEFAULT_API = "openai-chat"'],
    "prompts/fingerprint.py": ['{DEFAULT_API: "chat"}'],  # stands in the digests of finished runs
    # a block's schema is known by its checksum: its words change when it gets the field `api`
    "blocks/provider.py": ["requests go to {base URL}/chat/completions."],
    "simulation/formats.py": ["simulation.openai_chat import OpenAIChat", "(OpenAIChat(),)"],
    # a column of datasets, not the format
    "documents/columns.py": ['"chat": "chat"'],
    "estimating/sizes.py": [MODELS_OWN],
    "pricing/worst_case.py": [MODELS_OWN],
}


def sources() -> Iterator[tuple[str, str]]:
    """Path and text of every module, those of the linked rooms too."""
    rooms = [each for each in PACKAGE.iterdir() if each.is_dir() and each.name != "examples"]
    for path in [*PACKAGE.glob("*.py"), *(path for room in rooms for path in room.rglob("*.py"))]:
        yield path.relative_to(PACKAGE).as_posix(), path.read_text()


def named(name: str, text: str) -> list[str]:
    """The lines that name the format, but for what is allowed there."""
    for allowed in ALLOWED.get(name, ()):
        assert allowed in text, f"{name} no longer says {allowed!r}: take it off the list"
        text = text.replace(allowed, "")
    return [f"{name}: {line.strip()}" for line in text.splitlines() if re.search("chat", line, re.IGNORECASE)]


def test_no_module_outside_a_format_s_own_names_it() -> None:
    found = [line for name, text in sources() if not name.startswith(OF_A_FORMAT) for line in named(name, text)]
    assert found == []


def test_every_room_is_looked_into() -> None:
    looked = {name.split("/")[0] for name, _ in sources()}
    assert {"engine", "run", "system", "values", "blocks", "flows", "tasks", "wire", "cli"} <= looked


@pytest.mark.parametrize("line", ["from prefect_llm.wire import openai_chat", 'URL = "/chat/completions"', "# Chat"])
def test_each_way_to_name_it_is_seen(line: str) -> None:
    assert named("engine/dispatcher.py", f"import time\n{line}\n") == [f"engine/dispatcher.py: {line}"]
