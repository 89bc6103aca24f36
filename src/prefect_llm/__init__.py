"""Batched LLM inference for Prefect: documents in, one Parquet row per document out.

Names are imported when first used (PEP 562): the core stays free of Prefect, whose import takes seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect_llm.blocks import LLMProvider, ModelPrice, ProviderReference
    from prefect_llm.estimating import Estimate, SampleOptions
    from prefect_llm.flows import (
        ApprovalOptions,
        batch_inference,
        compare_hosting,
        estimate_cost,
        failed_by_reason,
        redrive_failures,
    )
    from prefect_llm.hosting import Scenario
    from prefect_llm.prompts import PromptSpec
    from prefect_llm.report import Summary
    from prefect_llm.run.in_thread import in_thread
    from prefect_llm.run.reference import RunReference as Run
    from prefect_llm.run.reports import read_summary
    from prefect_llm.run.spec import RunSpec
    from prefect_llm.settings import ApiOptions, BatchOptions, DocumentOptions, MonitoringOptions
    from prefect_llm.store import ChunkStats
    from prefect_llm.store.reading import read_results
    from prefect_llm.tasks import (
        estimate_documents,
        estimate_run,
        finish_run,
        infer_chunk,
        load_documents,
        redrive_chunk,
    )
    from prefect_llm.values.budget import RunBudget
    from prefect_llm.values.errors import InvalidInput, LLMBatchError, RunError, TooManyFailedRows
    from prefect_llm.values.outcome import ErrorKind

__all__ = [
    "ApiOptions",
    "ApprovalOptions",
    "BatchOptions",
    "ChunkStats",
    "DocumentOptions",
    "ErrorKind",
    "Estimate",
    "InvalidInput",
    "LLMBatchError",
    "LLMProvider",
    "ModelPrice",
    "MonitoringOptions",
    "PromptSpec",
    "ProviderReference",
    "Run",
    "RunBudget",
    "RunError",
    "RunSpec",
    "SampleOptions",
    "Scenario",
    "Summary",
    "TooManyFailedRows",
    "batch_inference",
    "compare_hosting",
    "estimate_cost",
    "estimate_documents",
    "estimate_run",
    "failed_by_reason",
    "finish_run",
    "in_thread",
    "infer_chunk",
    "load_documents",
    "read_results",
    "read_summary",
    "redrive_chunk",
    "redrive_failures",
]

_ROOMS = {
    "ApiOptions": "settings",
    "ApprovalOptions": "flows",
    "BatchOptions": "settings",
    "ChunkStats": "store",
    "DocumentOptions": "settings",
    "ErrorKind": "values.outcome",
    "Estimate": "estimating",
    "InvalidInput": "values.errors",
    "LLMBatchError": "values.errors",
    "LLMProvider": "blocks",
    "ModelPrice": "blocks",
    "MonitoringOptions": "settings",
    "PromptSpec": "prompts",
    "ProviderReference": "blocks",
    "Run": "run.reference:RunReference",
    "RunBudget": "values.budget",
    "RunError": "values.errors",
    "RunSpec": "run.spec",
    "SampleOptions": "estimating",
    "Scenario": "hosting",
    "Summary": "report",
    "TooManyFailedRows": "values.errors",
    "batch_inference": "flows",
    "compare_hosting": "flows",
    "estimate_cost": "flows",
    "estimate_documents": "tasks",
    "estimate_run": "tasks",
    "failed_by_reason": "flows",
    "finish_run": "tasks",
    "in_thread": "run.in_thread",
    "infer_chunk": "tasks",
    "load_documents": "tasks",
    "read_results": "store.reading",
    "read_summary": "run.reports",
    "redrive_chunk": "tasks",
    "redrive_failures": "flows",
}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, there = _ROOMS[name].partition(":")
    return getattr(import_module(f"prefect_llm.{module}"), there or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
