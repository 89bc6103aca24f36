"""One look over the files of an input, before any is read: their kind, what is left out, what the folders say."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass

from prefect_llm.documents.listing import LeftOut, Location, SourceFile, near_files
from prefect_llm.documents.partitions import Partitions, PartitionTypes
from prefect_llm.documents.table_formats import refuse_table, table_above, table_of
from prefect_llm.values.errors import InputAbsent, InvalidInput

_FORMATS = {
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".csv": "CSV",
    ".tsv": "CSV",
    ".jsonl": "JSON Lines",
    ".ndjson": "JSON Lines",
    ".json": "JSON",
    ".txt": "text",
    ".md": "text",
}
_COMPRESSIONS = (".gz", ".bz2", ".xz")
_SUPPORTED = (
    "Parquet (.parquet, .pq), CSV (.csv, .tsv), JSON Lines (.jsonl, .ndjson), JSON (.json) and text (.txt, .md); "
    "all but Parquet also as .gz, .bz2 or .xz"
)
_MOST_FOLDERS = 1_000
"""Of folders with Parquet files so many are looked at for the log of a table, and for those above them."""


@dataclass(frozen=True, slots=True)
class Found:
    """What an input holds: the one kind of file to read, the columns its folders make, and all other files."""

    kind: str
    partitions: Partitions
    left_out: tuple[LeftOut, ...]


def survey(location: Location) -> Found:
    """Look over an input; `InvalidInput` where it mixes kinds, has none that can be read, or is a kept table."""
    seen = _Seen()
    for file in location.everything():
        seen.note(file)

    if len(seen.counts) > 1:
        seen.leave_out_json()
    _check_no_table(location, seen)
    if len(seen.counts) == 1:
        return Found(next(iter(seen.counts)), seen.partitions.found(), seen.left_out())
    if seen.counts:
        found = " and ".join(f'{count} {kind} ("{seen.examples[kind]}")' for kind, count in seen.counts.items())
        raise InvalidInput(
            f'"{location.name}" mixes kinds of files: {found}; name one kind with a glob such as "*.csv".'
        )

    if location.kind != "file" and not seen.others:
        raise InputAbsent(_nothing_there(location))
    raise InvalidInput(_nothing_readable(location, seen.others))


def format_of(path: str) -> str | None:
    """The format a file's extension stands for, `None` for an unknown one."""
    stem, extension = os.path.splitext(path.lower())
    if extension not in _COMPRESSIONS:
        return _FORMATS.get(extension)
    packed = _FORMATS.get(os.path.splitext(stem)[1])
    return None if packed == "Parquet" else packed


class _Seen:
    """Counts files by kind, and those that are none of the input's documents by the reason."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.partitions = PartitionTypes()
        self.parquet_folders: dict[str, None] = {}
        self.table: tuple[str, str] | None = None
        self._left_out: Counter[str] = Counter()

    @property
    def others(self) -> int:
        """How many files cannot be read."""
        return sum(count for what, count in self._left_out.items() if what not in _PASSED_OVER)

    def note(self, file: SourceFile) -> None:
        """Take one file into account."""
        self.table = self.table or table_of(file.path)
        if file.passed_over is not None:
            self._pass_over(file)
            return

        kind = format_of(file.name)
        if kind is None:
            self._leave_out(f"{os.path.splitext(file.relative)[1].lower() or 'other'} files", file.relative)
            return
        self.counts[kind] += 1
        self.examples.setdefault(kind, file.relative)
        self.partitions.see(file.path)
        if kind == "Parquet" and len(self.parquet_folders) < _MOST_FOLDERS:
            self.parquet_folders.setdefault(file.path.rpartition("/")[0])

    def leave_out_json(self) -> None:
        """Beside other files those in JSON describe them, such as `dataset_info.json`."""
        count = self.counts.pop("JSON", 0)
        if count:
            self._left_out[".json files"] += count
            self.examples[".json files"] = self.examples["JSON"]

    def left_out(self) -> tuple[LeftOut, ...]:
        """All that is no document, by the reason."""
        return tuple(LeftOut(what, count, self.examples[what]) for what, count in self._left_out.items())

    def _pass_over(self, file: SourceFile) -> None:
        folder = _hidden_folder(file.relative)
        if file.passed_over == "link":
            self._leave_out(_LINKS, file.relative)
        elif folder is not None:
            if folder not in self.examples:
                self.examples[folder] = folder
                self._leave_out(_HIDDEN_FOLDERS, folder)
        # Such as _SUCCESS and .DS_Store are nobody's documents.
        elif format_of(file.name) is not None:
            self._leave_out(_HIDDEN_FILES, file.relative)

    def _leave_out(self, what: str, example: str) -> None:
        self._left_out[what] += 1
        self.examples.setdefault(what, example)


_LINKS = "links to folders"
_HIDDEN_FOLDERS = "folders whose names start with _ or ."
_HIDDEN_FILES = "files whose names start with _ or ."
_PASSED_OVER = frozenset({_LINKS, _HIDDEN_FOLDERS, _HIDDEN_FILES})


def _hidden_folder(relative: str) -> str | None:
    """The first folder of a path that is hidden."""
    parts = relative.split("/")
    for place, part in enumerate(parts[:-1]):
        if part.startswith(("_", ".")):
            return "/".join([*parts[: place + 1], ""])
    return None


def _check_no_table(location: Location, seen: _Seen) -> None:
    """Only Parquet files are read as if they were a table's rows, and only the log itself holds nothing else.

    A Lance folder has no file that is read at all.
    """
    table = seen.table
    is_log = table is not None and location.root.startswith(f"{table[1]}/")
    if seen.counts and "Parquet" not in seen.counts and not is_log:
        return
    # A web server lists no folders.
    if table is None and "http" not in location.filesystem.protocol:
        folders = seen.parquet_folders if location.kind == "glob" else [_folder(location)]
        table = table_above(location.filesystem, folders)
    if table is not None:
        kind, folder = table
        refuse_table(kind, folder, location.root, location.name)


def _folder(location: Location) -> str:
    return location.root.rpartition("/")[0] if location.kind == "file" else location.root


def _nothing_readable(location: Location, others: int) -> str:
    if location.kind == "file":
        return f'The extension of "{location.name}" cannot be read: rename or convert it to {_SUPPORTED}.'
    return f'None of the {others} files of "{location.name}" can be read: supported are {_SUPPORTED}.'


def _nothing_there(location: Location) -> str:
    if location.kind == "glob":
        brackets = '; "[" begins a set of characters, for the sign itself write "[[]"' if "[" in location.name else ""
        near = near_files(location.filesystem, location.pattern)
        return f'No file matches "{location.name}": check the pattern of the input{brackets}{near}.'
    return f'"{location.name}" holds no files: check the path of the input.'
