"""What every row asks and keeps: requests and answers of 1 KB, and the fields of a result row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

MODEL = "simulated"
MAX_OUTPUT_TOKENS = 200
TEXT = "The quick brown fox jumps over the lazy dog. " * 20


class Row(NamedTuple):
    """One document's result, in the words of our own result rows."""

    id: str
    status: str
    content: str | None
    finish_reason: str | None
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    attempts: int
    latency_ms: float | None
    started_at_us: int | None
    finished_at_us: int | None
    error_kind: str | None = None
    error_status: int | None = None
    error_message: str | None = None


def documents(count: int) -> Iterator[tuple[str, str]]:
    """Ids and prompts, no two the same."""
    for number in range(count):
        yield str(number), f"Summarise document {number}: {TEXT}"
