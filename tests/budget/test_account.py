"""The purses of two processes on one budget."""

from __future__ import annotations

import threading
import uuid
from decimal import Decimal

from tests.prefect_server import SOON_S, eventually

from prefect_llm.budget.account import BudgetAccount, RunBudget
from prefect_llm.budget.grants import GrantLog
from prefect_llm.budget.sources import GrantSource, GrantSources
from prefect_llm.system.folders import Folder, open_folder
from prefect_llm.system.stop_signal import StopSignal

LIMIT = Decimal(100)


def spending(folder: Folder) -> BudgetAccount:
    """Of a process of its own."""
    return BudgetAccount(
        RunBudget(LIMIT, "USD"), GrantSources(GrantSource(GrantLog(folder, "USD", "run-1"), LIMIT)), StopSignal()
    )


def hold(purse: BudgetAccount, amount: int) -> None:
    """Set it aside, as soon as it is granted."""
    eventually(lambda: purse.hold(Decimal(amount), lambda: None), bool)


def test_who_was_refused_asks_again_while_requests_of_its_own_are_in_flight() -> None:
    folder = open_folder(f"memory://spending-tests/{uuid.uuid4().hex}")
    one, other = spending(folder), spending(folder)
    with one.in_use():
        hold(one, 1)
        with other.in_use():
            hold(other, 98)
            refused = threading.Event()
            assert not one.hold(Decimal(10), refused.set)
            assert refused.wait(SOON_S)
            other.settle(Decimal(98), Decimal(8))
        hold(one, 10)


def test_a_chunk_that_begins_as_the_last_one_gives_back_is_among_those_that_hold_money() -> None:
    folder = open_folder(f"memory://spending-tests/{uuid.uuid4().hex}")
    purse, other = spending(folder), GrantLog(folder, "USD", "run-1")
    for _ in range(20):
        with purse.in_use():
            hold(purse, 5)
            last = other.last()
            assert last is not None
            assert other.others_hold(last)
            purse.settle(Decimal(5), Decimal(0))
    left = eventually(other.last, lambda last: last is not None and not other.others_hold(last))
    assert left is not None
    assert left.total == 0
