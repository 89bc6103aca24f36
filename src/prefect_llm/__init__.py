"""Batched LLM inference for Prefect: documents in, one Parquet row per document out.

Names are imported when first used (PEP 562): the core stays free of Prefect, whose import takes seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect_llm.blocks import LLMProvider, ModelPrice, ProviderReference
    from prefect_llm.estimating import Estimate
    from prefect_llm.flows import (
        ApprovalOptions,
        batch_inference,
        compare_hosting,
        estimate_cost,
        redrive_failures,
    )
    from prefect_llm.prompts import PromptSpec
    from prefect_llm.report import Summary
    from prefect_llm.run.reference import RunReference as Run
    from prefect_llm.run.spec import RunSpec
    from prefect_llm.store.reading import read_results
    from prefect_llm.tasks import (
        estimate_documents,
        estimate_run,
        finish_run,
        infer_chunk,
        load_documents,
        redrive_chunk,
    )
    from prefect_llm.values.errors import InvalidInput, LLMBatchError, RunError, TooManyFailedRows

__all__ = [
    "ApprovalOptions",
    "Estimate",
    "InvalidInput",
    "LLMBatchError",
    "LLMProvider",
    "ModelPrice",
    "PromptSpec",
    "ProviderReference",
    "Run",
    "RunError",
    "RunSpec",
    "Summary",
    "TooManyFailedRows",
    "batch_inference",
    "compare_hosting",
    "estimate_cost",
    "estimate_documents",
    "estimate_run",
    "finish_run",
    "infer_chunk",
    "load_documents",
    "read_results",
    "redrive_chunk",
    "redrive_failures",
]

_ROOMS = {
    "ApprovalOptions": "flows",
    "Estimate": "estimating",
    "InvalidInput": "values.errors",
    "LLMBatchError": "values.errors",
    "LLMProvider": "blocks",
    "ModelPrice": "blocks",
    "PromptSpec": "prompts",
    "ProviderReference": "blocks",
    "Run": "run.reference:RunReference",
    "RunError": "values.errors",
    "RunSpec": "run.spec",
    "Summary": "report",
    "TooManyFailedRows": "values.errors",
    "batch_inference": "flows",
    "compare_hosting": "flows",
    "estimate_cost": "flows",
    "estimate_documents": "tasks",
    "estimate_run": "tasks",
    "finish_run": "tasks",
    "infer_chunk": "tasks",
    "load_documents": "tasks",
    "read_results": "store.reading",
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
