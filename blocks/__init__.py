"""Prefect blocks: settings, secrets and one factory each; no live connections."""

from prefect_llm.blocks.provider import LLMProvider, ModelPrice
from prefect_llm.blocks.reference import ProviderReference, load_block, resolve_provider

__all__ = ["LLMProvider", "ModelPrice", "ProviderReference", "load_block", "resolve_provider"]

if __name__ != "prefect_llm.blocks":
    raise ImportError("import prefect_llm.blocks, not blocks")
