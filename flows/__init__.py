"""Prefect flows."""

if __name__ != "prefect_llm.flows":
    raise ImportError("import prefect_llm.flows, not flows")
