"""Rows to write down, and a folder whose writes fail when told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from prefect_llm.store.journal import ChunkAttempt, JournalEntry, claim, open_journal
from prefect_llm.store.rows import ResultRow
from prefect_llm.system.folders import Folder
from prefect_llm.values.outcome import Completion, Outcome, Usage
from prefect_llm.values.price import Price


def entry(place: int, content: str = "yes") -> JournalEntry:
    """An answered document `d<place>`."""
    completion = Completion(content, "stop", "m-1", Usage(12, 0, 3, 0))
    outcome = Outcome(completion, attempts=1, latency_ms=1.25, queued_ms=0.0, started_at_us=1, finished_at_us=2)
    price = Price(Decimal("0.15"), Decimal("0.60"), cached_input=Decimal("0.075"), date="2026-01-01")
    return JournalEntry(
        place, ResultRow(f"d{place}", "f", "m", outcome, Decimal("0.000003600000"), price, provider="host")
    )


def write_down(folder: Folder, chunk: int, entries: list[JournalEntry], epoch: int = 0) -> ChunkAttempt:
    """An attempt at the chunk that writes these rows and no part, as a killed process leaves it."""
    attempt, _ = claim(folder, chunk, epoch)
    journal = open_journal(folder, chunk, attempt)
    for each in entries:
        journal.append(each)
    journal.close()
    return attempt


def read_again(folder: Folder, chunk: int) -> list[JournalEntry]:
    """What the next attempt at the chunk finds."""
    return claim(folder, chunk, 0)[1]


@dataclass
class FailingFolder:
    """Another folder, of whose writes the next `failing` fail; `before` is called before each. Keeps their names."""

    inner: Folder
    failing: int = 0
    before: Callable[[], None] = lambda: None
    written: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.inner.url

    @url.setter
    def url(self, url: str) -> None:
        self.inner.url = url

    def read(self, name: str) -> bytes:
        return self.inner.read(name)

    def write(self, name: str, content: bytes) -> None:
        self.before()
        if self.failing:
            self.failing -= 1
            raise OSError("503 Slow Down")
        self.written.append(name)
        self.inner.write(name, content)

    def create(self, name: str, content: bytes) -> bool:
        return self.inner.create(name, content)

    def names(self, prefix: str = "") -> list[str]:
        return self.inner.names(prefix)

    def remove(self, name: str) -> None:
        self.inner.remove(name)

    def folders(self) -> list[str]:
        return self.inner.folders()

    def remove_below(self, prefix: str) -> int:
        return self.inner.remove_below(prefix)
