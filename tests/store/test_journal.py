"""The journal of a running chunk: what was written down is read again, whatever became of its writer."""

from __future__ import annotations

import logging
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store.journaling import FailingFolder, entry, read_again, write_down

from prefect_llm.store.journal import (
    INFLIGHT,
    ChunkAttempt,
    JournalEntry,
    claim,
    is_latest,
    journaled,
    line_of,
    open_journal,
    remove_journals,
)
from prefect_llm.store.rows import ResultRow
from prefect_llm.system.folders import Folder, LocalFolder, open_folder
from prefect_llm.values.errors import InvalidInput, Superseded
from prefect_llm.values.outcome import MOST_TOKENS, Completion, DiscardedAnswer, ErrorKind, Failure, Outcome, Usage
from prefect_llm.values.price import Price


@pytest.fixture
def local(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path / "run")


PRICE = Price(Decimal("0.1500"), Decimal("1E-7"), "EUR", cached_input=None, source="block", date=None)
FULL = Completion("Grüße 🎈\u2028\u0085\r\n\0", "length", "m-1", Usage(MOST_TOKENS, 0, 3, None), raw=b"\xff\x00\n{")
ROWS = {
    "answered": entry(0),
    "everything_set": JournalEntry(
        1,
        ResultRow(
            "ü\n", "f", "m", Outcome(FULL, None, 5, 2, 0.1, 1e9, 1, 2**60, route=1), Decimal(0), PRICE, False, "h"
        ),
        (Decimal("0.000000000001"), None),
    ),
    "none_everywhere": JournalEntry(2, ResultRow("", None, None, Outcome(), None, None)),
    "an_empty_completion": JournalEntry(3, ResultRow("a", "f", "m", Outcome(Completion(None)), None, None)),
    "failed": JournalEntry(
        4, ResultRow("b", "f", "m", Outcome(failure=Failure(ErrorKind.TIMEOUT, "“late”", None)), None, PRICE)
    ),
    "failed_with_its_text": JournalEntry(
        5,
        ResultRow(
            "c", "f", "m", Outcome(FULL, Failure(ErrorKind.REFUSED, "no", 200), attempts=1), Decimal("1.50"), PRICE
        ),
    ),
    "discarded_answers": JournalEntry(
        6,
        ResultRow(
            "d",
            "f",
            "m",
            Outcome(FULL, discarded=(DiscardedAnswer(Usage(1, None, 2, 0), "m"), DiscardedAnswer(Usage(), "n", 1))),
            Decimal(1),
            PRICE,
        ),
        (None, Decimal("0.1")),
    ),
    "reused": JournalEntry(7, ResultRow("e", "f", "m", Outcome(Completion("x")), Decimal(0), None, reused=True)),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_every_kind_is_read_as_it_was_written(local: LocalFolder, name: str) -> None:
    write_down(local, 0, [ROWS[name]])
    read = read_again(local, 0)
    assert read == [ROWS[name]]
    assert repr(read) == repr([ROWS[name]])  # 1.50 is not 1.5


@given(st.text(st.characters(exclude_categories=["Cs"])), st.binary(), st.decimals(allow_nan=False, places=12))
def test_any_text_bytes_and_money_come_back(content: str, raw: bytes, money: Decimal) -> None:
    folder = open_folder(f"memory://journal-tests/{uuid.uuid4().hex}")
    row = replace(entry(0).row, cost=money, outcome=Outcome(Completion(content, raw=raw)))
    write_down(folder, 0, [JournalEntry(0, row, (money,))])
    assert read_again(folder, 0) == [JournalEntry(0, row, (money,))]


def test_the_parsed_answer_stays_out() -> None:
    parsed = replace(entry(0).row, outcome=Outcome(Completion('{"a": 1}', output={"a": object()})))
    kept = replace(entry(0).row, outcome=Outcome(Completion('{"a": 1}')))
    assert line_of(JournalEntry(0, parsed)) == line_of(JournalEntry(0, kept))


def test_rows_come_in_the_order_of_their_places(folder: Folder) -> None:
    write_down(folder, 0, [entry(2), entry(0)])
    write_down(folder, 0, [entry(1)])
    assert [each.row_index for each in read_again(folder, 0)] == [0, 1, 2]


@pytest.mark.parametrize("cut", [1, 9, 10, 100])
def test_a_torn_last_line_costs_its_own_row_only(
    local: LocalFolder, caplog: pytest.LogCaptureFixture, cut: int
) -> None:
    path = _file_of(local, write_down(local, 0, [entry(0), entry(1)]))
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\n") + 1 + cut])
    with caplog.at_level(logging.WARNING, logger="prefect_llm"):
        assert read_again(local, 0) == [entry(0)]
    assert f"{local.url}/{INFLIGHT}{path.name}: 1 lines were cut off" in caplog.text


def test_a_line_that_lacks_only_its_end_is_whole(local: LocalFolder) -> None:
    path = _file_of(local, write_down(local, 0, [entry(0)]))
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert read_again(local, 0) == [entry(0)]


@pytest.mark.parametrize(
    "damage", [b"\0" * 200, b"", b"00000000 ", b"00000000", b"\xff\xfe\r\x85", b"{}", b"12345678 {}"]
)
def test_a_line_that_is_none_costs_no_other_row(local: LocalFolder, damage: bytes) -> None:
    path = _file_of(local, write_down(local, 0, [entry(0), entry(1), entry(2)]))
    first, _, last = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join((first, damage, last, damage)))
    assert read_again(local, 0) == [entry(0), entry(2)]


def test_a_row_that_changed_on_the_disk_is_not_believed(local: LocalFolder) -> None:
    path = _file_of(local, write_down(local, 0, [entry(0, "yes"), entry(1, "yes")]))
    path.write_bytes(path.read_bytes().replace(b"yes", b"no!", 1))
    assert read_again(local, 0) == [entry(1)]


def test_a_whole_row_of_another_version_is_refused_by_name(local: LocalFolder) -> None:
    path = _file_of(local, write_down(local, 0, []))
    path.write_bytes(b"%08x [0,1]\n" % zlib.crc32(b"[0,1]"))
    with pytest.raises(InvalidInput, match=rf"{path} holds a row that this version cannot read \(.*\): finish the"):
        read_again(local, 0)


def test_of_two_rows_for_one_document_the_earlier_attempts_wins(folder: Folder) -> None:
    first, second = claim(folder, 0, 0)[0], claim(folder, 0, 0)[0]
    for attempt, content in ((second, "later"), (first, "earlier")):  # the first was paused and woke up
        journal = open_journal(folder, 0, attempt)
        journal.append(entry(0, content))
        journal.close()
    assert read_again(folder, 0) == [entry(0, "earlier")]


def test_an_attempt_of_a_later_owner_comes_after_every_one_of_an_earlier(folder: Folder) -> None:
    assert [claim(folder, 0, epoch)[0] for epoch in (0, 0, 2, 2)] == [(0, 1), (0, 2), (2, 3), (2, 4)]
    with pytest.raises(Superseded, match="later owner"):
        claim(folder, 0, 1)


def test_claims_that_race_are_all_granted_in_some_order_and_the_last_is_the_latest(folder: Folder) -> None:
    start = Barrier(8)

    def race(_: int) -> ChunkAttempt:
        start.wait()
        return claim(folder, 3, 0)[0]

    with ThreadPoolExecutor(8) as pool:
        attempts = list(pool.map(race, range(8)))
    assert sorted(attempts) == [ChunkAttempt(0, number) for number in range(1, 9)]
    assert [attempt for attempt in attempts if is_latest(folder, 3, attempt)] == [ChunkAttempt(0, 8)]


def test_chunks_have_journals_of_their_own(folder: Folder) -> None:
    attempts = [write_down(folder, chunk, [entry(chunk)]) for chunk in (1, 12, 100_001)]
    assert attempts == [(0, 1)] * 3
    assert [(chunk, rows) for chunk, rows in journaled(folder)] == [(n, [entry(n)]) for n in (1, 12, 100_001)]
    remove_journals(folder, [12, 5])
    assert [chunk for chunk, _ in journaled(folder)] == [1, 100_001]


def test_an_attempt_that_wakes_up_after_the_chunk_was_finished_is_not_the_latest(folder: Folder) -> None:
    paused = claim(folder, 0, 0)[0]
    journal = open_journal(folder, 0, paused)
    journal.append(entry(0))
    write_down(folder, 0, [entry(0)])
    remove_journals(folder, [0])  # the second attempt has committed
    journal.close()  # on an object store: writes its rows only now
    assert not is_latest(folder, 0, paused)


def test_foreign_names_are_left_alone(folder: Folder) -> None:
    names = [f"{INFLIGHT}chunk-0-e0-a1.jsonl", f"{INFLIGHT}chunk-00000-e0-a1.jsonl.swp", f"{INFLIGHT}notes"]
    for name in names:
        folder.write(name, b"mine")
    assert read_again(folder, 0) == []
    remove_journals(folder, [0])
    assert folder.names() == sorted(names)


def test_on_an_object_store_a_flush_is_one_put_and_nothing_to_flush_is_none(bucket: str) -> None:
    folder = FailingFolder(open_folder(f"{bucket}/run"))
    journal = open_journal(folder, 0, claim(folder, 0, 0)[0])
    journal.flush()
    for rows in ([entry(0), entry(1)], [], [entry(2)]):
        for each in rows:
            journal.append(each)
        journal.flush()
    journal.close()
    assert folder.written == [f"{INFLIGHT}chunk-00000-e0-a1-0000{n}.jsonl" for n in range(2)]
    assert read_again(folder, 0) == [entry(n) for n in range(3)]


@pytest.mark.parametrize("kind", ["memory", "s3"])
def test_rows_whose_put_failed_and_rows_that_come_during_a_put_go_with_the_next(
    request: pytest.FixtureRequest, kind: str
) -> None:
    base = f"memory://journal-tests/{uuid.uuid4().hex}" if kind == "memory" else request.getfixturevalue("bucket")
    folder = FailingFolder(open_folder(f"{base}/run"), failing=1)
    journal = open_journal(folder, 0, claim(folder, 0, 0)[0])
    journal.append(entry(0))
    meanwhile = [entry(2), entry(1)]
    folder.before = lambda: journal.append(meanwhile.pop())
    with pytest.raises(OSError, match="503"):
        journal.flush()
    journal.flush()
    folder.before = lambda: None
    journal.close()
    assert len(folder.written) == 2
    assert read_again(folder, 0) == [entry(0), entry(1), entry(2)]


def _file_of(folder: LocalFolder, attempt: ChunkAttempt) -> Path:
    return folder.path / f"{INFLIGHT}chunk-00000-e{attempt.epoch}-a{attempt.number}.jsonl"
