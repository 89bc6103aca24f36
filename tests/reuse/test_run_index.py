"""The table of a run's answers: what was put in is found, and it never grows."""

from __future__ import annotations

import hashlib

import pytest

from prefect_llm.reuse import run_index
from prefect_llm.reuse.run_index import RowTable


def test_every_request_is_found_where_its_answer_lies() -> None:
    table = RowTable(1000)
    fingerprints = [hashlib.blake2b(b"%d" % number, digest_size=16).hexdigest() for number in range(1000)]
    for row, fingerprint in enumerate(fingerprints):
        table.put(fingerprint, row)
    assert [table.get(fingerprint) for fingerprint in fingerprints] == list(range(1000))
    assert table.get("f" * 32) is None


def test_those_that_meet_in_one_slot_are_told_apart() -> None:
    table = RowTable(4)  # 6 slots
    meeting = [f"{6 * number + 5:016x}{0:016x}" for number in range(4)]
    for row, fingerprint in enumerate(meeting):
        table.put(fingerprint, row)
    assert [table.get(fingerprint) for fingerprint in meeting] == [0, 1, 2, 3]
    assert table.get(f"{6 * 9 + 5:016x}{0:016x}") is None


def test_the_later_row_counts() -> None:
    table = RowTable(4)
    table.put("a" * 32, 1)
    table.put("a" * 32, 2)
    assert table.get("a" * 32) == 2


def test_a_fingerprint_of_zeros_is_no_empty_slot() -> None:
    table = RowTable(4)
    assert table.get("0" * 32) is None
    table.put("0" * 32, 3)
    assert table.get("0" * 32) == 3


def test_a_full_table_takes_no_more_and_still_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_index, "MOST_SLOTS", 8)
    table = RowTable(100)
    for row in range(100):
        table.put(f"{row + 1:016x}", row)
    assert [table.get(f"{row + 1:016x}") for row in range(100)] == [0, 1, 2, 3, 4, 5, *[None] * 94]
