"""Prefect flows: compositions of the tasks, with parameters that a person can fill in a form."""

from prefect_llm.flows.approval import ApprovalOptions
from prefect_llm.flows.batch import batch_inference
from prefect_llm.flows.estimate import estimate_cost
from prefect_llm.flows.hosting import compare_hosting
from prefect_llm.flows.reasons import failed_by_reason
from prefect_llm.flows.redrive import redrive_failures

__all__ = [
    "ApprovalOptions",
    "batch_inference",
    "compare_hosting",
    "estimate_cost",
    "failed_by_reason",
    "redrive_failures",
]

if __name__ != "prefect_llm.flows":
    raise ImportError("import prefect_llm.flows, not flows")
