"""Reads answered rows back from the parts of a run, for documents with the same request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.rows import NOTHING_PAID, ResultRow
from prefect_llm.store.schema import RAW, REASONING
from prefect_llm.values.outcome import Completion, Outcome

_PARTS_KEPT = 4
"""Documents mostly come in the order of the earlier run, so its parts are read one after the other."""
_TAKEN = (
    "fingerprint",
    "status",
    "provider",
    "lane",
    "content",
    "finish_reason",
    "requested_model",
    "model",
    "started_at",
    "finished_at",
)

_FOUND_BY = ("fingerprint", "status")

Location = tuple[int, int]
"""Chunk, and row index in it."""


def answered_in(directory: RunDirectory, chunk: int) -> list[tuple[int, str]]:
    """The answered rows of a complete chunk: row index and fingerprint of the request."""
    table = directory.read_chunk(chunk, _FOUND_BY)
    fingerprints, statuses = (table[name].to_pylist() for name in _FOUND_BY)
    return [
        (row, fingerprint)
        for row, (fingerprint, status) in enumerate(zip(fingerprints, statuses, strict=True))
        if status == "ok" and fingerprint is not None
    ]


class AnswerReader:
    """Reads rows from the parts of one run directory; of the columns that only some runs keep those in `kept`.

    Keeps the last `_PARTS_KEPT` parts it has read.
    """

    def __init__(self, directory: RunDirectory, kept: Sequence[str] = ()) -> None:
        self._directory = directory
        self._columns = (*_TAKEN, *kept)
        self._part = lru_cache(maxsize=_PARTS_KEPT)(self._read_part)

    def find(self, locations: Mapping[str, Sequence[Location]], provider: str | None = None) -> dict[str, ResultRow]:
        """For each fingerprint the row at the first location that has its answer, from `provider` if given."""
        found = {}
        # in the order of locations, so that each part is read once
        for fingerprint in sorted(locations, key=lambda each: tuple(locations[each])):
            for chunk, row in locations[fingerprint]:
                values = {name: column[row].as_py() for name, column in self._part(chunk).items()}
                answers = (values["fingerprint"], values["status"]) == (fingerprint, "ok")
                if answers and provider in (None, values["provider"]):
                    found[fingerprint] = _row(values)
                    break
        return found

    def _read_part(self, chunk: int) -> Mapping[str, pa.ChunkedArray]:
        table = self._directory.read_chunk(chunk, self._columns)
        instants = {name: pc.cast(table[name], pa.int64()) for name in ("started_at", "finished_at")}
        return {name: table[name] for name in self._columns} | instants


def _row(values: Mapping[str, Any]) -> ResultRow:
    """The row for another document; the caller sets its id."""
    raw = values.get(RAW)
    completion = Completion(
        values["content"],
        values["finish_reason"],
        values["model"],
        raw=None if raw is None else raw.encode(),
        reasoning=values.get(REASONING),
    )
    outcome = Outcome(
        completion,
        started_at_us=values["started_at"],
        finished_at_us=values["finished_at"],
        lane=values["lane"],
    )

    return ResultRow(
        "",
        values["fingerprint"],
        values["requested_model"],
        outcome,
        NOTHING_PAID,
        None,
        reused=True,
        provider=values["provider"],
    )
