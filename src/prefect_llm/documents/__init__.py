"""Read any source as a stream of record batches and stage it as the run's snapshot."""

from prefect_llm.documents.chunk_files import absent_chunks
from prefect_llm.documents.columns import Keep, KeptColumn, OnBadRows, Staging
from prefect_llm.documents.listing import left_out_words
from prefect_llm.documents.sampling import stage_sample
from prefect_llm.documents.snapshot import Snapshot, StagedChunk, read_chunk
from prefect_llm.documents.source import Source, open_source
from prefect_llm.documents.staging import same_documents, stage

__all__ = [
    "Keep",
    "KeptColumn",
    "OnBadRows",
    "Snapshot",
    "Source",
    "StagedChunk",
    "Staging",
    "absent_chunks",
    "left_out_words",
    "open_source",
    "read_chunk",
    "same_documents",
    "stage",
    "stage_sample",
]
