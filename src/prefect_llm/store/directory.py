"""A run's directory: its manifest first, then its parts, each file whole or absent.

A chunk is done if its part exists under its final name; resuming consults nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.store.journal import JournalEntry, journaled
from prefect_llm.store.lease import LEASES
from prefect_llm.store.manifest import Manifest, read_manifest
from prefect_llm.store.parts import (
    RESULTS,
    SCHEMA_PART,
    STATS_KEY,
    chunk_of,
    encode_part,
    part_name,
    read_part,
    read_part_schema,
    read_part_stats,
)
from prefect_llm.store.rows import result_table
from prefect_llm.store.schema import lacking_columns, result_schema
from prefect_llm.system.folders import Folder, LocalFolder, open_folder
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.formatting import first_listed
from prefect_llm.values.money import ZERO, add_money

MANIFEST = "_run/manifest.json"
NAMES_SHOWN = 3
REPORT = "_run/report.md"
PAGE = "_run/report.html"
LEDGER = "_run/ledger.json"
FAILED = "_run/failed.csv"
DELTA_LOG = f"{RESULTS}_delta_log/"
"""What a converter to Delta adds to the parts: the one thing of somebody else that may lie beside them."""
_BEFORE_THE_MANIFEST = ("_run/tmp/", "_run/input/", LEASES)
"""What a run that is killed before its manifest is written may leave: temporary files, half a snapshot, a lease."""


class RunDirectory:
    """One run's files in a local directory or on an fsspec store. Opening it writes nothing."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    @classmethod
    def open(cls, url: str) -> RunDirectory:
        """The run directory at a local path or an fsspec URL."""
        return cls(open_folder(url))

    @property
    def url(self) -> str:
        """The directory's path or URL."""
        return self.folder.url

    @property
    def results_url(self) -> str:
        """The path or URL to give a Parquet reader."""
        return f"{self.folder.url}/{RESULTS.rstrip('/')}"

    def manifest(self) -> Manifest | None:
        """The manifest; `None` if there is no run yet."""
        try:
            content = self.folder.read(MANIFEST)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return read_manifest(content, f"{self.url}/{MANIFEST}")

    def check_ours(self) -> Manifest | None:
        """Refuse a directory that holds foreign files; return the manifest of the run to continue, if any.

        Without a manifest only what a killed start leaves may be here; with one, `results/` may hold nothing but
        the run's own parts and a log of Delta.
        """
        if isinstance(self.folder, LocalFolder) and self.folder.path.is_file():
            raise InvalidInput(f"output {self.url} is a file: give a directory")

        manifest = self.manifest()
        if manifest is None and (foreign := self._not_left_by_a_start()):
            manifest = self.manifest()  # another process may have written it since
            if manifest is None:
                raise InvalidInput(
                    f"{self.url} is not a run directory: it has no {MANIFEST} but holds {_some_of(foreign)}; "
                    "give a new or empty output"
                )

        if manifest is not None:
            self._check_results(manifest)
        return manifest

    def check_run(self) -> Manifest:
        """The manifest of the run that is here; refuse a directory without a run, or with foreign results."""
        manifest = self.manifest()
        if manifest is None:
            raise InvalidInput(f"{self.url} is not a run directory: it has no {MANIFEST}; give the output of a run")
        self._check_results(manifest)
        return manifest

    def create(self, manifest: Manifest) -> None:
        """Write the first manifest; `InvalidInput` if there is one already."""
        if self.manifest() is not None:
            raise InvalidInput(f"{self.url} already holds a run: give a new output")
        self.write_manifest(manifest)

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest."""
        self.folder.write(MANIFEST, manifest.to_json())

    def write_schema_part(self, schema: pa.Schema) -> None:
        """Make `results/` appear, readable and empty. The manifest must be there.

        A part that a Delta log lists stays as it is.
        """
        if self.manifest() is None:
            raise RuntimeError("the manifest precedes everything in results/")
        if self.has_delta_log():
            return
        empty = ChunkStats().to_json()
        self.folder.write(SCHEMA_PART, encode_part(schema.empty_table(), {STATS_KEY: empty}))

    def has_delta_log(self) -> bool:
        """Whether somebody has made a Delta table of the parts: its log lists them as they were then."""
        return bool(self.folder.names(DELTA_LOG))

    def complete_chunks(self) -> frozenset[int]:
        """The chunks that have their part."""
        return frozenset(self._chunks())

    def commit_part(self, chunk: int, table: pa.Table, stats: ChunkStats) -> None:
        """Write or replace a chunk's part: readers see it whole or not at all."""
        self.folder.write(part_name(chunk), encode_part(table, {STATS_KEY: stats.to_json()}))

    def chunk_stats(self) -> list[ChunkStats]:
        """The stats of every complete chunk, in order. Reads footers only."""
        return [read_part_stats(self.folder, part_name(chunk)) for chunk in self._chunks()]

    def lacking_columns(self) -> frozenset[str]:
        """The result columns that every part of this run lacks, because an earlier version began it."""
        parts = [name for name in self.folder.names(RESULTS) if name == SCHEMA_PART or chunk_of(name) is not None]
        if not parts:
            return frozenset()
        return lacking_columns(read_part_schema(self.folder, SCHEMA_PART if SCHEMA_PART in parts else parts[0]))

    def read_chunk(self, chunk: int, columns: Sequence[str], *, as_written: bool = False) -> pa.Table:
        """Some columns of one complete chunk, as `read_part` reads them."""
        return read_part(self.folder, part_name(chunk), columns, as_written=as_written)

    def scan(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Some columns of every complete chunk, one part at a time, in order.

        Each table's schema metadata holds its chunk's stats (`parts.stats_in`).
        """
        for chunk in self._chunks():
            yield self.read_chunk(chunk, columns)

    def scan_journals(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Some result columns of the journaled rows of unfinished chunks, in the form of `scan`."""
        complete = self.complete_chunks()
        schema = result_schema(kept=pa.schema([]), output_type=None, keep_raw=False)
        for chunk, entries in journaled(self.folder):
            if chunk in complete or not entries:
                continue
            rows = [entry.row for entry in entries]
            table = result_table(rows, schema=schema, run_id="", kept=pa.table({}), output=None)
            stats = stats_in_journal(entries).to_json()
            yield table.select(list(columns)).replace_schema_metadata({STATS_KEY: stats})

    def write_report(self, markdown: str) -> None:
        """Replace `_run/report.md`."""
        self.folder.write(REPORT, markdown.encode("utf-8", "backslashreplace"))

    def write_page(self, html: str | None) -> None:
        """Replace `_run/report.html`, or remove it."""
        if html is None:
            self.folder.remove(PAGE)
        else:
            self.folder.write(PAGE, html.encode("utf-8", "backslashreplace"))

    def write_ledger(self, ledger: Mapping[str, Any]) -> None:
        """Replace `_run/ledger.json`."""
        content = json.dumps(ledger, indent=1, ensure_ascii=False)
        self.folder.write(LEDGER, content.encode("utf-8", "backslashreplace"))

    def write_failed(self, csv: str | None) -> None:
        """Replace `_run/failed.csv`, or remove it."""
        if csv is None:
            self.folder.remove(FAILED)
        else:
            self.folder.write(FAILED, csv.encode("utf-8", "backslashreplace"))

    def _chunks(self) -> list[int]:
        names = self.folder.names(RESULTS)
        return sorted(chunk for name in names if (chunk := chunk_of(name)) is not None)

    def _not_left_by_a_start(self) -> list[str]:
        return [name for name in self.folder.names() if not name.startswith(_BEFORE_THE_MANIFEST)]

    def _check_results(self, manifest: Manifest) -> None:
        foreign = [
            name
            for name in self.folder.names(RESULTS)
            if name != SCHEMA_PART and not _is_part_of(manifest, chunk_of(name)) and not name.startswith(DELTA_LOG)
        ]
        if foreign:
            raise InvalidInput(
                f"{self.url} holds {_some_of(foreign)}, which this run of {manifest.chunks:,} chunks did not "
                "write: move it away, since every reader of results/ would read it too"
            )


def stats_in_journal(entries: Sequence[JournalEntry], seconds: float = 0.0) -> ChunkStats:
    """The stats of a chunk so far. A sum of money is `None` if any of its amounts is."""
    discarded_cost: Decimal | None = ZERO
    possibly_billed: Decimal | None = ZERO
    for entry in entries:
        possibly_billed = add_money(possibly_billed, entry.uncertain_cost)
        for each in entry.discarded_costs:
            discarded_cost = add_money(discarded_cost, each)

    outcomes = [entry.row.outcome for entry in entries]
    return ChunkStats.of(outcomes, discarded_cost=discarded_cost, seconds=seconds, possibly_billed=possibly_billed)


def _is_part_of(manifest: Manifest, chunk: int | None) -> bool:
    return chunk is not None and chunk < manifest.chunks


def _some_of(names: Sequence[str]) -> str:
    return first_listed(names, NAMES_SHOWN)
