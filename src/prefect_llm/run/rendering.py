"""A chunk's documents as requests."""

from __future__ import annotations

from collections.abc import Iterable

from prefect_llm.documents import StagedChunk
from prefect_llm.prompts import Prompt
from prefect_llm.values.errors import BadDocument
from prefect_llm.values.request import Request

Rendered = Request | BadDocument


def render_requests(staged: StagedChunk, prompt: Prompt, places: Iterable[int]) -> dict[int, Rendered]:
    """The request of each document, or why it makes none."""
    requests: dict[int, Rendered] = {}
    for place in places:
        try:
            requests[place] = prompt.request(place, staged.ids[place], staged.fields(place))
        except BadDocument as error:
            requests[place] = error
    return requests
