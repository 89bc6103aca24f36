"""Reads on in the journals of a run that goes on: the rows that other processes have written down since."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_llm.store.journal import JournalEntry, journal_files, whole_entry
from prefect_llm.system.folders import Folder, LocalFolder


class Tail:
    """The rows of a run directory on a file system, each once; on an object store each look would be requests."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._read: dict[str, int] = {}

    def rows(self) -> Iterator[tuple[int, int, JournalEntry]]:
        """The chunk, its owner's epoch and the row, of what has come since the last look."""
        if not isinstance(self._folder, LocalFolder):
            return
        for file in journal_files(self._folder):
            for line in self._lines(self._folder, file.name):
                if (entry := whole_entry(line, file.name)) is not None:
                    yield file.chunk, file.attempt.epoch, entry

    def _lines(self, folder: LocalFolder, name: str) -> list[bytes]:
        begin = self._read.get(name, 0)
        try:
            with (folder.path / name).open("rb") as file:
                file.seek(begin)
                content = file.read()
        except FileNotFoundError:
            return []  # its part is there now
        end = content.rfind(b"\n") + 1  # what comes after is being written
        self._read[name] = begin + end
        return content[:end].splitlines()
