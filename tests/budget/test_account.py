"""The account of one process: drawn on by all chunks of a run, and one of several on the same budget."""

from __future__ import annotations

import json
import threading
import time
import uuid
from decimal import Decimal

import pytest
from tests.prefect_server import SOON_S, eventually

from prefect_llm.budget.account import BudgetAccount, open_account
from prefect_llm.budget.grants import GRANTS, GrantLog
from prefect_llm.budget.sources import GrantSources
from prefect_llm.system.folders import Folder, open_folder
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.budget import RunBudget
from prefect_llm.values.errors import BudgetExceeded, BudgetUnwritable, Interrupted

LIMIT = Decimal(100)


@pytest.fixture
def folder() -> Folder:
    return open_folder(f"memory://account-tests/{uuid.uuid4().hex}")


def account(folder: Folder, stop: StopFlag | None = None) -> BudgetAccount:
    """Of a process of its own."""
    return open_account(RunBudget(LIMIT, "USD"), folder.url, "run-1", stop or StopFlag())


def reserve(process: BudgetAccount, amount: int) -> None:
    """Reserve it, as soon as it is granted."""
    eventually(lambda: process.reserve(Decimal(amount), lambda: None), bool)


def reserve_in_vain(process: BudgetAccount, amount: int) -> None:
    assert not process.reserve(Decimal(amount), lambda: None)


def worker_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "llm-budget"]


def test_a_refused_account_draws_again_while_requests_of_its_own_are_in_flight(folder: Folder) -> None:
    one, other = account(folder), account(folder)
    with one.in_use():
        reserve(one, 1)
        with other.in_use():
            reserve(other, 98)
            refused = threading.Event()
            assert not one.reserve(Decimal(10), refused.set)
            assert refused.wait(SOON_S)
            other.settle(Decimal(98), Decimal(8))
        reserve(one, 10)


def test_a_chunk_that_begins_as_the_last_one_gives_back_holds_money_again(folder: Folder) -> None:
    process, other = account(folder), GrantLog(folder, "USD", "run-1")
    for _ in range(20):
        with process.in_use():
            reserve(process, 5)
            last = other.last()
            assert last is not None
            assert other.others_hold(last)
            process.settle(Decimal(5), Decimal(0))
    left = eventually(other.last, lambda last: last is not None and not other.others_hold(last))
    assert left is not None
    assert left.total == 0


def test_what_is_left_has_been_given_back_when_the_last_chunk_ends_also_during_a_draw(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing, go_on, grant = threading.Event(), threading.Event(), GrantSources.grant

    def slow(sources: GrantSources, wanted: Decimal, least: Decimal) -> Decimal:
        drawing.set()
        assert go_on.wait(SOON_S)
        return grant(sources, wanted, least)

    monkeypatch.setattr(GrantSources, "grant", slow)
    process = account(folder)
    with process.in_use():
        reserve_in_vain(process, 5)
        assert drawing.wait(SOON_S)
        threading.Timer(0.1, go_on.set).start()
    assert process.granted == 0
    assert not worker_threads()


def test_a_second_chunk_keeps_the_money_of_the_first(folder: Folder) -> None:
    process = account(folder)
    with process.in_use():
        with process.in_use():
            reserve(process, 5)
            process.settle(Decimal(5), Decimal(1))
        assert process.reserve(Decimal(4), lambda: None)
        process.forfeit(Decimal(4))
    assert process.spent == process.granted == 5


def test_a_request_that_will_never_fit_stops_the_run(folder: Folder) -> None:
    stop = StopFlag()
    process = account(folder, stop)
    with process.in_use():
        reserve_in_vain(process, 101)
        error = eventually(lambda: stop.error, bool)
    assert isinstance(error, BudgetExceeded)
    assert "the next request may cost $101.00, which no longer fits max_cost $100.00" in error.message
    assert process.granted == 0


def test_a_fault_in_what_waits_stops_the_run_and_the_rest_is_given_back(folder: Folder) -> None:
    def broken() -> None:
        raise RuntimeError("Event loop is closed")

    stop = StopFlag()
    process = account(folder, stop)
    with process.in_use():
        assert not process.reserve(Decimal(5), broken)
        error = eventually(lambda: stop.error, bool)
    assert isinstance(error, BudgetUnwritable)
    assert "RuntimeError: Event loop is closed" in error.message
    assert process.granted == 0
    assert not worker_threads()


def test_a_chunk_without_requests_draws_nothing(folder: Folder) -> None:
    asking = account(folder)
    with account(folder).in_use(), asking.in_use():
        reserve(asking, 1)  # by then the other account's thread could have drawn, too
        asking.settle(Decimal(1), Decimal(1))
    holders = {json.loads(folder.read(name))["holder"] for name in folder.names(GRANTS)}
    assert len(holders) == 1


def test_a_stopped_run_does_not_wait_for_a_store_that_is_slow(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answers = threading.Event(), threading.Event()

    def slowly(self: GrantSources, wanted: Decimal, least: Decimal) -> Decimal:
        asked.set()
        answers.wait(SOON_S)
        return Decimal(0)

    monkeypatch.setattr(GrantSources, "grant", slowly)
    process = account(folder, stop := StopFlag())
    began = time.monotonic()
    try:
        with process.in_use():
            reserve_in_vain(process, 1)
            assert asked.wait(SOON_S)
            stop.set(Interrupted("SIGINT"))
        assert time.monotonic() - began < SOON_S / 2
    finally:
        answers.set()


def test_a_stopped_run_draws_no_more(folder: Folder) -> None:
    stop = StopFlag()
    stop.set(BudgetExceeded("enough"))
    process = account(folder, stop)
    with process.in_use():
        reserve_in_vain(process, 5)
    assert GrantLog(folder, "USD", "run-1").last() is None
