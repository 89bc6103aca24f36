"""The real model on this machine, and one run over the first example messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from importlib.resources import as_file, files
from pathlib import Path

import pytest

from prefect_llm.engine import close_engines
from prefect_llm.local import LocalModel, fetch_weights, local_model
from prefect_llm.prompts import PromptSpec
from prefect_llm.report import Summary
from prefect_llm.run.opening import open_run
from prefect_llm.run.spec import RunSpec
from prefect_llm.run.threads import infer_pending
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Limits, Provider

MESSAGES = 12


@pytest.fixture(scope="session")
def model() -> Iterator[LocalModel]:
    fetch_weights()
    with local_model() as started:
        yield started
    close_engines()


@pytest.fixture(scope="session")
def examples() -> Iterator[Path]:
    with as_file(files("prefect_llm.examples")) as folder:
        yield folder


@pytest.fixture(scope="session")
def example_spec(model: LocalModel, examples: Path) -> RunSpec:
    """The examples' own prompt and schema."""
    return RunSpec(
        prompt=PromptSpec(
            model=model.model,
            template=(examples / "prompt.txt").read_text(encoding="utf-8"),
            system=(examples / "system.txt").read_text(encoding="utf-8"),
            schema=json.loads((examples / "schema.json").read_text(encoding="utf-8")),
            max_output_tokens=96,
            temperature=0,
        ),
        limit=MESSAGES,
        chunk_rows=5,
    )


@pytest.fixture(scope="session")
def provider(model: LocalModel) -> Provider:
    price = Price(input=Decimal(1), output=Decimal(1))
    return Provider(model.base_url, api_key=model.api_key, limits=Limits(4), prices={"*": price})


@pytest.fixture(scope="session")
def summary(
    examples: Path, example_spec: RunSpec, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Summary:
    """The run that the tests look at."""
    output = tmp_path_factory.mktemp("end-to-end") / "run"
    return infer_pending(open_run(str(examples / "messages.jsonl"), str(output), example_spec), provider)
