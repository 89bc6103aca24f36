from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from prefect_llm.settings import answer_schema, check, load, sections

ROOT = Path(__file__).parents[2]
EXAMPLE = "deployments/run.yaml"


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_the_example_is_a_complete_run() -> None:
    settings = load({}, {}, EXAMPLE)
    check(settings)
    assert Path(settings.documents.input or "").exists()
    assert answer_schema(settings) is not None


def test_the_example_shows_every_section_and_key() -> None:
    shown = {section: set(keys) for section, keys in YAML(typ="safe").load(Path(EXAMPLE)).items()}
    assert shown == {section: set(known) for section, known in sections().items()}


def test_the_example_names_the_defaults_as_they_are() -> None:
    settings = load({}, {}, EXAMPLE)
    defaults = load({}, {})
    assert settings.batch.model_copy(update={"chunk_rows": None}) == defaults.batch
    assert settings.logging == defaults.logging
    assert settings.monitoring == defaults.monitoring
    for name in ("timeout", "max_attempts", "outage_patience", "currency"):
        assert getattr(settings.api, name) == getattr(defaults.api, name)
