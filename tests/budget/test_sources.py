"""A process that is refused waits for what others of its run may give back, as long as they are at work."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest

from prefect_llm.budget.grants import GRANTS, GrantLog
from prefect_llm.budget.sources import PATIENCE_S, GrantSource, GrantSources
from prefect_llm.system.folders import Folder, open_folder

LIMIT = Decimal(10)
MONTH = ".budget/2026-11/"


@pytest.fixture
def folder() -> Folder:
    return open_folder(f"memory://funds-tests/{uuid.uuid4().hex}")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def funds(
    folder: Folder,
    clock: Clock | None = None,
    *,
    run_id: str = "run-1",
    limit: Decimal | None = LIMIT,
    month: Decimal | None = None,
) -> GrantSources:
    """Of a process of its own."""
    run = GrantSource(GrantLog(folder, "USD", run_id, f"{run_id}/{GRANTS}"), limit)
    of_month = None if month is None else GrantSource(GrantLog(folder, "USD", run_id, MONTH), month)
    return GrantSources(run, of_month, clock or Clock())


def entries(folder: Folder) -> int:
    return len(list(folder.names("")))


def test_alone_it_has_nobody_to_wait_for(folder: Folder) -> None:
    one = funds(folder)
    assert one.grant(Decimal(9), Decimal(9)) == 9
    assert one.grant(Decimal(2), Decimal(2)) == 0
    assert not one.may_hold(Decimal(2))


def test_it_waits_for_a_process_that_holds_money(folder: Folder) -> None:
    one, other = funds(folder), funds(folder)
    other.grant(Decimal(9), Decimal(9))
    assert one.grant(Decimal(2), Decimal(2)) == 0
    assert one.may_hold(Decimal(2))
    other.leave(Decimal(3))
    assert one.grant(Decimal(2), Decimal(2)) == 2


def test_it_waits_for_none_that_has_spent_all(folder: Folder) -> None:
    one, other = funds(folder), funds(folder)
    other.grant(Decimal(9), Decimal(9))
    other.leave(Decimal("0.5"))
    assert one.grant(Decimal(2), Decimal(2)) == 0
    assert not one.may_hold(Decimal(2))


def test_what_was_given_back_between_two_looks_is_seen(folder: Folder) -> None:
    one, other = funds(folder), funds(folder)
    other.grant(Decimal(9), Decimal(9))
    assert one.grant(Decimal(2), Decimal(2)) == 0
    other.leave(Decimal(5))
    assert one.may_hold(Decimal(2))


def test_processes_that_give_no_sign_are_not_waited_for_any_longer(folder: Folder) -> None:
    clock = Clock()
    one, other = funds(folder, clock), funds(folder)
    other.grant(Decimal(9), Decimal(9))
    one.grant(Decimal(2), Decimal(2))
    assert one.may_hold(Decimal(2))
    clock.now += PATIENCE_S - 1
    assert one.may_hold(Decimal(2))
    other.grant(Decimal("0.1"), Decimal(0))
    clock.now += PATIENCE_S - 1
    assert one.may_hold(Decimal(2))
    clock.now += PATIENCE_S
    assert not one.may_hold(Decimal(2))


def test_what_other_runs_draw_is_no_sign_of_a_process_of_this_one(folder: Folder) -> None:
    clock = Clock()
    one = funds(folder, clock, month=LIMIT)
    funds(folder, month=LIMIT).grant(Decimal(9), Decimal(9))
    beside = funds(folder, run_id="run-2", month=LIMIT)
    one.grant(Decimal(2), Decimal(2))
    for _ in range(2):
        assert one.may_hold(Decimal(2))
        beside.grant(Decimal("0.1"), Decimal(0))
        clock.now += PATIENCE_S / 2
    assert not one.may_hold(Decimal(2))


def test_a_month_that_has_too_little_is_waited_for_only_where_the_run_itself_holds_some(folder: Folder) -> None:
    alone = funds(folder, run_id="run-2", limit=None, month=LIMIT)
    assert funds(folder, month=LIMIT).grant(Decimal(9), Decimal(9)) == 9
    assert alone.grant(Decimal(2), Decimal(2)) == 0
    assert not alone.may_hold(Decimal(2))
    beside = funds(folder, month=LIMIT)
    assert beside.grant(Decimal(2), Decimal(2)) == 0
    assert beside.may_hold(Decimal(2))


def test_who_waits_writes_nothing(folder: Folder) -> None:
    one, other = funds(folder, month=LIMIT), funds(folder, month=LIMIT)
    other.grant(Decimal(9), Decimal(9))
    before = entries(folder)
    for _ in range(3):
        assert one.grant(Decimal(2), Decimal(2)) == 0
        one.leave(Decimal(0))
        assert one.may_hold(Decimal(2))
    assert entries(folder) == before
