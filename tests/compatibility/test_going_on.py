"""A run that an earlier build began is finished, redriven and reused by this one, as that build would have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.compatibility.conftest import Thawed
from tests.compatibility.frozen import Row, asked_of, brief, each_frozen, frozen_run, holds, stable_summary


@each_frozen("run", "resume")
def test_the_same_command_and_resume_ask_only_what_has_no_answer(thawed: Thawed, action: str) -> None:
    """They end as then, and each row that was durable is written as it was."""
    ended, expected = thawed.act(action)
    assert ended.status == expected["status"], ended.err
    assert asked_of(thawed.server) == expected["asked"]
    assert holds(stable_summary(ended), expected["summary"])
    rows = thawed.rows()
    assert_as_then(rows, expected["rows"])
    durable = {row["id"]: row for row in (*thawed.said["rows"], *thawed.said["journaled"])}
    assert {row["id"]: row for row in rows if row["id"] in durable} == durable


@each_frozen("redrive")
def test_a_redrive_asks_the_failed_rows_and_leaves_the_others_as_they_were(thawed: Thawed, action: str) -> None:
    """What a killed redrive had in its journals is not asked again."""
    ended, expected = thawed.act(action)
    assert ended.status == expected["status"], ended.err
    assert asked_of(thawed.server) == expected["asked"]
    assert holds(stable_summary(ended), expected["summary"])
    rows = thawed.rows()
    assert_as_then(rows, expected["rows"])
    answered = [row for row in thawed.said["rows"] if row["status"] == "ok"]
    assert [row for row in rows if row["id"] in {each["id"] for each in answered}] == answered


@each_frozen("reuse")
def test_a_new_run_takes_the_answers_of_then(thawed: Thawed, action: str) -> None:
    """Those of parts and those of journals; it asks the others."""
    ended, expected = thawed.act(action)
    assert ended.status == expected["status"], ended.err
    assert asked_of(thawed.server) == expected["asked"]
    assert holds(stable_summary(ended), expected["summary"])
    assert_as_then(thawed.rows("-again"), expected["rows"])
    assert thawed.rows() == thawed.said["rows"]


@frozen_run("finished")
def test_a_night_finds_the_run_of_an_earlier_build_by_its_name(thawed: Thawed, tmp_path: Path) -> None:
    """`--reuse previous` looks through the manifests beside it."""
    (tmp_path / "nights").mkdir()
    (tmp_path / "out").rename(tmp_path / "nights" / "a")
    command = [*thawed.said["command"], "--reuse", "previous"]
    done = thawed.carry_out(command, "nights/b-{scheduled:%Y}")
    assert (done.status, done.summary["reused"], done.summary["requests"]) == (0, 12, 0), done.err


@frozen_run("finished")
def test_a_run_of_an_earlier_build_is_told_from_another_by_what_is_fixed(thawed: Thawed) -> None:
    """Another model in the same directory is refused with the difference."""
    refused = thawed.carry_out([each if each != "m" else "n" for each in thawed.said["command"]])
    assert (refused.status, len(refused.refusals)) == (2, 1)
    assert "model: 'm' -> 'n'" in refused.refusals[0]
    assert thawed.server.stats().requests == 0


def assert_as_then(rows: Sequence[Row], then: Sequence[Row]) -> None:
    """One row a document, in the order of the input, each saying what it said then."""
    assert [row["id"] for row in rows] == [row["id"] for row in then]
    assert list(map(brief, rows)) == list(then)
