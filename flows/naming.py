"""Names of flow runs: what they work on. Of a path only its end, since a URL may hold credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect import runtime

from prefect_llm.blocks import LLMProvider
from prefect_llm.flows.form import name_of

MOST_CHARACTERS = 80
"""A longer input, as a glob may be, is cut."""


def batch_name() -> str:
    """`tickets.parquet with gpt-4.1-mini`."""
    return batch_name_of(runtime.flow_run.parameters)


def redrive_name() -> str:
    """`failures of 2026-11-24`: of the run's directory."""
    return f"failures of {_end_of(runtime.flow_run.parameters.get('output'))}"


def batch_name_of(parameters: Mapping[str, Any]) -> str:
    """By the flow's parameters: its input, and the model, or who is asked for its own default one."""
    provider = parameters.get("provider")
    named = name_of(provider) if isinstance(provider, (LLMProvider, str)) else None
    asked = parameters.get("model") or named
    source = _end_of(parameters.get("input"))
    return f"{source} with {asked}" if asked else source


def _end_of(path: object) -> str:
    text = str(path).partition("?")[0].rstrip("/")
    folder, _, end = text.rpartition("/")
    if "*" in end and folder:  # of `tickets/*.parquet` the folder says more
        end = f"{folder.rpartition('/')[2].rpartition('@')[2]}/{end}"
    return (end or "documents")[:MOST_CHARACTERS]
