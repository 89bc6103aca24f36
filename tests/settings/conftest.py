"""A run.yaml in an empty current directory, so that its name in every sentence is just `run.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from prefect_llm.settings import RunSettings, load
from prefect_llm.values.errors import InvalidInput

Loaded = Callable[..., RunSettings]
Refused = Callable[..., str]


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """Loads from flags, environment and the text of a run.yaml."""
    monkeypatch.chdir(tmp_path)

    def call(
        yaml: str | None = None, flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
    ) -> RunSettings:
        if yaml is not None:
            Path("run.yaml").write_text(yaml, encoding="utf-8")
        return load(flags or {}, environ or {}, None if yaml is None else "run.yaml")

    return call


@pytest.fixture
def refused(loaded: Loaded) -> Refused:
    """What is said where the same call is refused."""

    def call(
        yaml: str | None = None, flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
    ) -> str:
        with pytest.raises(InvalidInput) as caught:
            loaded(yaml, flags, environ)
        return caught.value.message

    return call
