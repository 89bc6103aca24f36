"""Open journals are flushed at their interval; what could not be written is told, and never twice believed."""

from __future__ import annotations

import os
import resource
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.store.journaling import FailingFolder, entry, read_again

from prefect_llm.store.flushing import flushed
from prefect_llm.store.journal import INFLIGHT, Journal, JournalEntry, claim, open_journal
from prefect_llm.system.folders import LocalFolder, open_folder

AT_ONCE_S, NEVER_S, DEADLINE_S = 0.001, 3600.0, 10.0
FIRST = f"{INFLIGHT}chunk-00000-e0-a1.jsonl"


@dataclass(eq=False)
class CountingJournal:
    """Tells of each flush; `failing` makes every flush but the last fail."""

    failing: bool = False
    entries: list[JournalEntry] = field(default_factory=list)
    flushes: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    closed: bool = False

    def append(self, entry: JournalEntry) -> None:
        self.entries.append(entry)

    def flush(self) -> None:
        self.flushes.release()
        if self.failing:
            raise OSError("the disk is gone")

    def close(self) -> None:
        self.closed = True


def test_every_open_journal_is_flushed_again_and_again_by_one_thread_that_ends_with_the_last() -> None:
    one, other = CountingJournal(), CountingJournal()
    with flushed(one, AT_ONCE_S):
        with flushed(other, AT_ONCE_S):
            for journal in (one, other, one, other):
                assert journal.flushes.acquire(timeout=DEADLINE_S)
            (thread,) = _flushing_threads()
        assert other.closed
        assert thread.is_alive()
    assert one.closed
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    with flushed(one, AT_ONCE_S):  # and begins again
        assert one.flushes.acquire(timeout=DEADLINE_S)


def test_a_journal_of_a_short_interval_does_not_wait_for_one_of_a_long() -> None:
    with flushed(CountingJournal(), NEVER_S), flushed(CountingJournal(), AT_ONCE_S) as short:
        assert isinstance(short._journal, CountingJournal)
        assert short._journal.flushes.acquire(timeout=DEADLINE_S)


def test_journals_on_a_slow_store_do_not_wait_for_one_another() -> None:
    together = threading.Barrier(3)

    class Slow(CountingJournal):
        def flush(self) -> None:
            together.wait(DEADLINE_S)
            super().flush()

    slow = [Slow(), Slow(), Slow()]
    with flushed(slow[0], AT_ONCE_S), flushed(slow[1], AT_ONCE_S), flushed(slow[2], AT_ONCE_S):
        assert all(journal.flushes.acquire(timeout=DEADLINE_S) for journal in slow)
        together.abort()


def test_rows_are_on_the_object_store_after_the_interval_without_another_row() -> None:
    folder = FailingFolder(open_folder(f"memory://flushing-tests/{uuid.uuid4().hex}"))
    put = threading.Event()
    folder.before = put.set
    journal = open_journal(folder, 0, claim(folder, 0, 0)[0])
    with flushed(journal, AT_ONCE_S) as kept:
        kept.append(entry(0))
        assert put.wait(DEADLINE_S)
    assert read_again(folder, 0) == [entry(0)]


def test_rows_are_synced_to_the_local_disk_within_the_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = threading.Event()
    fsync = os.fsync
    journal = _local_journal(tmp_path)

    def told(descriptor: int) -> None:
        fsync(descriptor)
        synced.set()

    monkeypatch.setattr(os, "fsync", told)
    with flushed(journal, AT_ONCE_S) as kept:
        kept.append(entry(0))
        assert synced.wait(DEADLINE_S)


def test_the_end_of_the_block_flushes_what_no_interval_did() -> None:
    folder = open_folder(f"memory://flushing-tests/{uuid.uuid4().hex}")
    with flushed(open_journal(folder, 0, claim(folder, 0, 0)[0]), NEVER_S) as kept:
        kept.append(entry(0))
    assert read_again(folder, 0) == [entry(0)]


def test_a_failed_flush_is_raised_by_the_next_row() -> None:
    journal = CountingJournal(failing=True)

    def go_on() -> None:
        with flushed(journal, AT_ONCE_S) as kept:
            _wait_for_the_second_flush(journal)
            kept.append(entry(0))

    with pytest.raises(OSError, match="the disk is gone"):
        go_on()
    assert (journal.entries, journal.closed) == ([], True)


def test_a_failed_flush_after_the_last_row_is_raised_at_the_end() -> None:
    journal = CountingJournal(failing=True)
    with pytest.raises(OSError, match="the disk is gone"), flushed(journal, AT_ONCE_S):
        _wait_for_the_second_flush(journal)
    assert journal.closed


def test_a_full_disk_is_raised_with_the_journals_name(tmp_path: Path) -> None:
    journal = _local_journal(tmp_path, full=Path("/dev/full"))
    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/run/{FIRST}'"):
        journal.append(entry(0))


def test_a_failed_sync_of_the_last_rows_is_raised(tmp_path: Path) -> None:
    journal = _local_journal(tmp_path, full=Path("/dev/null"))  # takes every write and can sync none
    descriptors = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="Invalid argument"), flushed(journal, NEVER_S) as kept:
        kept.append(entry(0))
    assert len(os.listdir("/proc/self/fd")) == descriptors - 1


def test_a_disk_that_takes_half_a_row_says_so_and_keeps_the_rows_before(tmp_path: Path) -> None:
    journal = _local_journal(tmp_path)
    journal.append(entry(0))
    size = (tmp_path / "run" / FIRST).stat().st_size
    with _files_limited_to(size + 10), pytest.raises(OSError, match=f"File too large: '{tmp_path}/run/{FIRST}'"):
        journal.append(entry(1))
    assert (tmp_path / "run" / FIRST).stat().st_size == size + 10
    journal.close()
    assert read_again(LocalFolder(tmp_path / "run"), 0) == [entry(0)]


def _local_journal(tmp_path: Path, full: Path | None = None) -> Journal:
    folder = LocalFolder(tmp_path / "run")
    attempt = claim(folder, 0, 0)[0]
    if full is not None:
        (folder.path / FIRST).unlink()
        (folder.path / FIRST).symlink_to(full)
    return open_journal(folder, 0, attempt)


def _wait_for_the_second_flush(journal: CountingJournal) -> None:
    """Then what the first raised has been noted."""
    for _ in range(2):
        assert journal.flushes.acquire(timeout=DEADLINE_S)


def _flushing_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "llm-journals"]


@contextmanager
def _files_limited_to(size: int) -> Iterator[None]:
    """No file of this process may grow beyond; Python ignores the signal that comes with the refusal."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
