"""Renders a chunk's documents into requests."""

from __future__ import annotations

from collections.abc import Iterable

from prefect_llm.documents import StagedChunk
from prefect_llm.prompts import Prompt
from prefect_llm.values.errors import BadDocument
from prefect_llm.values.provider import DEFAULT_API
from prefect_llm.values.request import Request

Rendered = Request | BadDocument


def render_requests(
    staged: StagedChunk, prompt: Prompt, row_indexes: Iterable[int], api: str = DEFAULT_API
) -> dict[int, Rendered]:
    """The request of each document in the wire format called `api`, or why it makes none."""
    requests: dict[int, Rendered] = {}
    for row_index in row_indexes:
        try:
            requests[row_index] = prompt.request(row_index, staged.ids[row_index], staged.fields(row_index), api)
        except BadDocument as error:
            requests[row_index] = error
    return requests
