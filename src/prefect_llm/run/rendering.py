"""A chunk's documents as requests."""

from __future__ import annotations

from collections.abc import Iterable

from prefect_llm.documents import StagedChunk
from prefect_llm.prompts import Prompt
from prefect_llm.values.errors import BadDocument
from prefect_llm.values.provider import DEFAULT_API
from prefect_llm.values.request import Request

Rendered = Request | BadDocument


def render_requests(
    staged: StagedChunk, prompt: Prompt, places: Iterable[int], api: str = DEFAULT_API
) -> dict[int, Rendered]:
    """The request of each document in the wire format called `api`, or why it makes none."""
    requests: dict[int, Rendered] = {}
    for place in places:
        try:
            requests[place] = prompt.request(place, staged.ids[place], staged.fields(place), api)
        except BadDocument as error:
            requests[place] = error
    return requests
