"""Follows the journals of a running run: the rows that other processes have written since the last look."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_llm.store.journal import JournalEntry, journal_files, whole_entry
from prefect_llm.system.folders import Folder, LocalFolder


class Tail:
    """Yields each journaled row once, on a file system only: on an object store each look would cost requests."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._read: dict[str, int] = {}

    def rows(self) -> Iterator[tuple[int, int, JournalEntry]]:
        """Chunk, owner's epoch and row of each entry since the last call."""
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
            return []  # its part is written, so the journal was removed
        end = content.rfind(b"\n") + 1  # the rest is still being written
        self._read[name] = begin + end
        return content[:end].splitlines()
