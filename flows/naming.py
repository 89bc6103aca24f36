"""Names of flow runs: what they work on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect import runtime

from prefect_llm.blocks import LLMProvider
from prefect_llm.flows.form import name_of
from prefect_llm.tasks.naming import end_of


def batch_name() -> str:
    """`tickets.parquet with gpt-4.1-mini`."""
    return batch_name_of(runtime.flow_run.parameters)


def redrive_name() -> str:
    """`failures of 2026-11-24`: of the run's directory."""
    return f"failures of {end_of(str(runtime.flow_run.parameters.get('output')))}"


def batch_name_of(parameters: Mapping[str, Any]) -> str:
    """By the flow's parameters: its input, and the model, or who is asked for its own default one."""
    provider = parameters.get("provider")
    named = name_of(provider) if isinstance(provider, (LLMProvider, str)) else None
    asked = parameters.get("model") or named
    source = end_of(str(parameters.get("input")))
    return f"{source} with {asked}" if asked else source
