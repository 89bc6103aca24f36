"""Prefect tasks."""

if __name__ != "prefect_llm.tasks":
    raise ImportError("import prefect_llm.tasks, not tasks")
