"""Prefect blocks."""

if __name__ != "prefect_llm.blocks":
    raise ImportError("import prefect_llm.blocks, not blocks")
