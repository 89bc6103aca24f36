"""The accounts of two processes on one budget."""

from __future__ import annotations

import threading
import uuid
from decimal import Decimal

from tests.prefect_server import SOON_S, eventually

from prefect_llm.budget.account import BudgetAccount
from prefect_llm.budget.grants import GrantLog
from prefect_llm.budget.sources import GrantSources
from prefect_llm.system.folders import Folder, open_folder
from prefect_llm.system.stop_signal import StopSignal
from prefect_llm.values.budget import RunBudget

LIMIT = Decimal(100)


def account(folder: Folder) -> BudgetAccount:
    """Of a process of its own."""
    budget = RunBudget(LIMIT, "USD")
    return BudgetAccount(budget, GrantSources(budget, GrantLog(folder, "USD", "run-1")), StopSignal())


def reserve(process: BudgetAccount, amount: int) -> None:
    """Reserve it, as soon as it is granted."""
    eventually(lambda: process.reserve(Decimal(amount), lambda: None), bool)


def test_a_refused_account_draws_again_while_requests_of_its_own_are_in_flight() -> None:
    folder = open_folder(f"memory://account-tests/{uuid.uuid4().hex}")
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


def test_a_chunk_that_begins_as_the_last_one_gives_back_holds_money_again() -> None:
    folder = open_folder(f"memory://account-tests/{uuid.uuid4().hex}")
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
