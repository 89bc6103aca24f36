"""Prefect tasks: thin wrappers that log and delegate; each is useful on its own in a flow of yours."""

from prefect_llm.tasks.estimating import estimate_documents, estimate_run
from prefect_llm.tasks.finishing import finish_run
from prefect_llm.tasks.inference import infer_chunk
from prefect_llm.tasks.loading import load_documents
from prefect_llm.tasks.redriving import redrive_chunk

__all__ = ["estimate_documents", "estimate_run", "finish_run", "infer_chunk", "load_documents", "redrive_chunk"]

if __name__ != "prefect_llm.tasks":
    raise ImportError("import prefect_llm.tasks, not tasks")
