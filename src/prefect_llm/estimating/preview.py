"""What a sample's requests asked, in words, for the person who reads their answers."""

from __future__ import annotations

from typing import Any

from prefect_llm.documents import Snapshot, read_chunk
from prefect_llm.estimating.population import Population
from prefect_llm.prompts import Prompt
from prefect_llm.run.rendering import render_requests
from prefect_llm.system.folders import Folder
from prefect_llm.values.request import Request

MOST_PREVIEWED = 200
"""Requests whose words are kept."""
PREVIEWED_CHARACTERS = 300


def questions(folder: Folder, snapshot: Snapshot, prompt: Prompt, members: Population) -> list[str]:
    """The beginning of the last message of the first `MOST_PREVIEWED` members, in their order."""
    asked: list[str] = []
    chunks = members.chunk[:MOST_PREVIEWED]
    for chunk in dict.fromkeys(chunks):
        staged = read_chunk(folder, snapshot, chunk)
        rows = [row for row, of in zip(members.row_index[:MOST_PREVIEWED], chunks, strict=True) if of == chunk]
        requests = render_requests(staged, prompt, rows).values()
        asked += [_last_message(each) if isinstance(each, Request) else "" for each in requests]
    return asked


def _last_message(request: Request) -> str:
    content: Any = request.messages[-1].get("content") if request.messages else ""
    if isinstance(content, list):
        content = " ".join(str(part.get("text") or f"[{part.get('type')}]") for part in content)
    return str(content or "")[:PREVIEWED_CHARACTERS]
