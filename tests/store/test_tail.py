"""The rows that other processes write down, read while they do."""

from __future__ import annotations

from pathlib import Path

from tests.store.journaling import entry, write_down

from prefect_llm.store import Tail
from prefect_llm.store.journal import ChunkAttempt, claim, line_of, open_journal
from prefect_llm.system.folders import LocalFolder, open_folder


def test_each_row_is_read_once_whoever_writes_it(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    tail = Tail(folder)
    assert list(tail.rows()) == []
    attempt, _ = claim(folder, 7, epoch=2)
    journal = open_journal(folder, 7, attempt)
    journal.append(entry(0))
    assert list(tail.rows()) == [(7, 2, entry(0))]
    journal.append(entry(1))
    write_down(folder, 8, [entry(0)], epoch=2)
    assert list(tail.rows()) == [(7, 2, entry(1)), (8, 2, entry(0))]
    assert list(tail.rows()) == []
    journal.close()


def test_a_row_is_read_when_it_is_whole(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    attempt, _ = claim(folder, 0, epoch=1)
    assert attempt == ChunkAttempt(1, 1)
    tail, line = Tail(folder), line_of(entry(0))
    with (tmp_path / "_run/inflight/chunk-00000-e1-a1.jsonl").open("ab", buffering=0) as file:
        file.write(line[:20])
        assert list(tail.rows()) == []
        file.write(line[20:])
        assert list(tail.rows()) == [(0, 1, entry(0))]


def test_a_tail_reads_no_journal_of_an_object_store() -> None:
    folder = open_folder("memory://tail")
    write_down(folder, 0, [entry(0)])
    assert list(Tail(folder).rows()) == []
