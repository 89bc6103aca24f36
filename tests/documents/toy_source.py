"""A source of no extension there is: what one has to say of itself, and no line more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from prefect_llm.documents.batches import SourceBatch
from prefect_llm.documents.columns import Columns
from prefect_llm.documents.listing import LocatedSource


class VerseSource(LocatedSource):
    """Files of verses, one after an empty line; `verse` counts them within a file."""

    default_id = "verse"
    columns = Columns(pa.schema([("verse", pa.string()), ("text", pa.string())]))

    def row_count(self) -> int | None:
        return None

    def batches(self, columns: Sequence[str], keep_bad: bool = False) -> Iterator[SourceBatch]:
        for file in self._location.files():
            with self._location.open(file) as stream:
                verses = stream.read().decode().strip().split("\n\n")
            names = [f"{file.relative}:{number}" for number in range(1, len(verses) + 1)]
            batch = pa.record_batch({"verse": names, "text": verses}).select(list(columns))
            yield SourceBatch(batch, len(verses), file.name, 0)
