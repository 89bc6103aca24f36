"""Prefect blocks: settings, secrets and one factory each; no live connections."""

from prefect_llm.blocks.provider import LLMProvider, ModelPrice

__all__ = ["LLMProvider", "ModelPrice"]

if __name__ != "prefect_llm.blocks":
    raise ImportError("import prefect_llm.blocks, not blocks")
