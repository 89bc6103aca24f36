"""Batched LLM inference for Prefect: documents in, one Parquet row per document out."""
