"""The documents of a chunk that earlier runs have answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from prefect_llm.documents import StagedChunk
from prefect_llm.reuse.earlier_runs import reused_rows
from prefect_llm.run.rendering import Rendered
from prefect_llm.run.spec import RunSpec
from prefect_llm.store import JournalEntry
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request


def earlier_answers(
    urls: Sequence[str],
    invocation: str,
    staged: StagedChunk,
    requests: Mapping[int, Rendered],
    spec: RunSpec,
    provider: Provider,
) -> list[JournalEntry]:
    """A row for each of the requests that this provider has answered in the runs at `urls`; the first run counts."""
    wanted = {place: each.fingerprint for place, each in requests.items() if isinstance(each, Request)}
    found = reused_rows(
        urls,
        invocation,
        set(wanted.values()),
        provider.name,
        keep_raw=spec.keep_raw,
        serves=spec.serves,
    )
    return [
        JournalEntry(place, replace(found[fingerprint], id=staged.ids[place]))
        for place, fingerprint in wanted.items()
        if fingerprint in found
    ]
