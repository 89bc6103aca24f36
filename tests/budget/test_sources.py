"""A refused process waits for what others of its run may give back, as long as they show activity."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest

from prefect_llm.budget.grants import GRANTS, GrantLog
from prefect_llm.budget.sources import SILENCE_S, GrantSources
from prefect_llm.system.folders import Folder, open_folder
from prefect_llm.values.budget import RunBudget

LIMIT = Decimal(10)
MONTH = ".budget/2026-11/"


@pytest.fixture
def folder() -> Folder:
    return open_folder(f"memory://sources-tests/{uuid.uuid4().hex}")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def sources(
    folder: Folder,
    clock: Clock | None = None,
    *,
    run_id: str = "run-1",
    limit: Decimal | None = LIMIT,
    month: Decimal | None = None,
) -> GrantSources:
    """Of a process of its own."""
    run_log = GrantLog(folder, "USD", run_id, f"{run_id}/{GRANTS}")
    month_log = None if month is None else GrantLog(folder, "USD", run_id, MONTH)
    return GrantSources(RunBudget(limit, "USD", month), run_log, month_log, clock or Clock())


def entries(folder: Folder) -> int:
    return len(list(folder.names("")))


def test_alone_it_has_no_process_to_wait_for(folder: Folder) -> None:
    one = sources(folder)
    assert one.grant(Decimal(9), Decimal(9)) == 9
    assert one.grant(Decimal(2), Decimal(2)) == 0
    assert not one.may_grant_later(Decimal(2))


def test_it_waits_for_a_process_that_holds_money(folder: Folder) -> None:
    one, other = sources(folder), sources(folder)
    other.grant(Decimal(9), Decimal(9))
    assert one.grant(Decimal(2), Decimal(2)) == 0
    assert one.may_grant_later(Decimal(2))
    other.give_back_rest(Decimal(3))
    assert one.grant(Decimal(2), Decimal(2)) == 2


def test_it_does_not_wait_for_a_process_that_has_spent_all(folder: Folder) -> None:
    one, other = sources(folder), sources(folder)
    other.grant(Decimal(9), Decimal(9))
    other.give_back_rest(Decimal("0.5"))
    assert one.grant(Decimal(2), Decimal(2)) == 0
    assert not one.may_grant_later(Decimal(2))


def test_what_was_given_back_between_two_looks_is_seen(folder: Folder) -> None:
    one, other = sources(folder), sources(folder)
    other.grant(Decimal(9), Decimal(9))
    assert one.grant(Decimal(2), Decimal(2)) == 0
    other.give_back_rest(Decimal(5))
    assert one.may_grant_later(Decimal(2))


def test_it_stops_waiting_for_processes_that_show_no_activity(folder: Folder) -> None:
    clock = Clock()
    one, other = sources(folder, clock), sources(folder)
    other.grant(Decimal(9), Decimal(9))
    one.grant(Decimal(2), Decimal(2))
    assert one.may_grant_later(Decimal(2))
    clock.now += SILENCE_S - 1
    assert one.may_grant_later(Decimal(2))
    other.grant(Decimal("0.1"), Decimal(0))
    clock.now += SILENCE_S - 1
    assert one.may_grant_later(Decimal(2))
    clock.now += SILENCE_S
    assert not one.may_grant_later(Decimal(2))


def test_what_other_runs_draw_is_no_activity_of_this_one(folder: Folder) -> None:
    clock = Clock()
    one = sources(folder, clock, month=LIMIT)
    sources(folder, month=LIMIT).grant(Decimal(9), Decimal(9))
    beside = sources(folder, run_id="run-2", month=LIMIT)
    one.grant(Decimal(2), Decimal(2))
    for _ in range(2):
        assert one.may_grant_later(Decimal(2))
        beside.grant(Decimal("0.1"), Decimal(0))
        clock.now += SILENCE_S / 2
    assert not one.may_grant_later(Decimal(2))


def test_a_month_that_has_too_little_is_waited_for_only_where_the_run_itself_holds_some(folder: Folder) -> None:
    alone = sources(folder, run_id="run-2", limit=None, month=LIMIT)
    assert sources(folder, month=LIMIT).grant(Decimal(9), Decimal(9)) == 9
    assert alone.grant(Decimal(2), Decimal(2)) == 0
    assert not alone.may_grant_later(Decimal(2))
    beside = sources(folder, month=LIMIT)
    assert beside.grant(Decimal(2), Decimal(2)) == 0
    assert beside.may_grant_later(Decimal(2))


def test_a_process_that_waits_writes_nothing(folder: Folder) -> None:
    one, other = sources(folder, month=LIMIT), sources(folder, month=LIMIT)
    other.grant(Decimal(9), Decimal(9))
    before = entries(folder)
    for _ in range(3):
        assert one.grant(Decimal(2), Decimal(2)) == 0
        one.give_back_rest(Decimal(0))
        assert one.may_grant_later(Decimal(2))
    assert entries(folder) == before
