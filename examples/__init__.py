"""The demo's documents, prompt and schema, installed with the package as `prefect_llm.examples`."""
