"""The command `demo`: the flow over the example messages with a real model on this machine; nothing is paid."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from decimal import Decimal
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
from rich.console import Console, Group, RenderableType
from rich.table import Table

from prefect_llm.cli.commands.flow_runs import run_flow
from prefect_llm.cli.exit_status import status_of
from prefect_llm.local import LocalModel, local_model
from prefect_llm.report import Summary, to_rich
from prefect_llm.settings import (
    ApiSection,
    BatchOptions,
    DocumentsSection,
    MonitoringOptions,
    OutputSection,
    PromptSection,
    RunSettings,
)

KEY_VARIABLE = "PREFECT_LLM_DEMO_KEY"
ANSWERS_SHOWN = 12
OUTPUT_LIMIT = 96
"""The model may pad its JSON with blanks: the longest label took 52 tokens."""


def demo(output: str) -> int:
    """Run, then show where the results are, the first answers, and how many of the labels were right."""
    with as_file(files("prefect_llm.examples")) as examples, local_model() as model:
        os.environ[KEY_VARIABLE] = model.api_key
        summary, error = run_flow(demo_settings(model, examples, output))
    if error is not None:
        print(f"prefect-llm: {error}", file=sys.stderr)
    console = Console()
    console.print(to_rich(summary))
    console.print(answers(summary))
    console.print(f"results  {summary.output}/results\nreport   {summary.output}/_run/report.md", soft_wrap=True)
    return status_of(summary, error)


def demo_settings(model: LocalModel, examples: Path, output: str) -> RunSettings:
    """The settings that a person would give on the command line."""
    return RunSettings(
        documents=DocumentsSection(input=str(examples / "messages.jsonl")),
        prompt=PromptSection(
            prompt_file=str(examples / "prompt.txt"),
            system=(examples / "system.txt").read_text(encoding="utf-8"),
            schema_file=str(examples / "schema.json"),
        ),
        api=ApiSection(
            base_url=model.base_url,
            api_key_env=KEY_VARIABLE,
            model=model.model,
            max_output_tokens=OUTPUT_LIMIT,
            temperature=0,
            price_input=Decimal(0),
            price_output=Decimal(0),
        ),
        batch=BatchOptions(concurrency=4, chunk_rows=20),
        output=OutputSection(output=output),
        monitoring=MonitoringOptions(stats_interval_seconds=5),
    )


def answers(summary: Summary) -> RenderableType:
    """The first answers, and the share of right labels by language against those we ship."""
    columns = ["text", "language", "expected_label", "output"]
    rows: list[dict[str, Any]] = ds.dataset(f"{summary.output}/results").to_table(columns).to_pylist()
    return Group(_first_answers(rows), _score(rows))


def _first_answers(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="First answers", title_justify="left", expand=True)
    table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1)
    for name in ("language", "label", "expected"):
        table.add_column(name, no_wrap=True, min_width=len("positive"))
    for row in rows[:ANSWERS_SHOWN]:
        text = " ".join(row["text"].split())
        table.add_row(text, row["language"], _label(row), row["expected_label"] or "-")
    return table


def _score(rows: list[dict[str, Any]]) -> Table:
    right: defaultdict[str, list[bool]] = defaultdict(list)
    for row in rows:
        if row["expected_label"]:
            right[row["language"]].append(_label(row) == row["expected_label"])
    table = Table(title="Labels as expected", title_justify="left")
    for name in ("language", "right", "of"):
        table.add_column(name, justify="left" if name == "language" else "right")
    for language, hits in sorted(right.items(), key=lambda each: (-len(each[1]), each[0])):
        table.add_row(language, str(sum(hits)), str(len(hits)))
    return table


def _label(row: dict[str, Any]) -> str:
    return row["output"]["label"] if row["output"] else "-"
