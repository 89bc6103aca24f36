"""Grants of a budget: whoever asks at once, on whatever store, no more is granted than there is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from prefect_llm.errors import InvalidInput
from prefect_llm.files import Folder
from prefect_llm.store import GrantLog
from prefect_llm.store.grants import GRANTS


def grant_log(folder: Folder, holder: str = "run-1", currency: str = "USD") -> GrantLog:
    return GrantLog(folder, currency, holder)


def test_it_grants_what_is_wanted_and_in_the_end_what_is_left(folder: Folder) -> None:
    granting = grant_log(folder)
    assert granting.total() is None
    grants = [granting.grant(Decimal("0.4"), Decimal(1)) for _ in range(4)]
    assert grants == [Decimal("0.4"), Decimal("0.4"), Decimal("0.2"), Decimal(0)]
    assert granting.total() == 1


def test_what_is_given_back_is_granted_again_by_another_process(folder: Folder) -> None:
    one, other = grant_log(folder), grant_log(folder, "run-2")
    one.grant(Decimal(1), Decimal(1))
    assert other.grant(Decimal("0.5"), Decimal(1)) == 0
    one.give_back(Decimal("0.3"))
    assert other.grant(Decimal("0.5"), Decimal(1)) == Decimal("0.3")
    assert one.total() == other.total() == 1


def test_ten_that_ask_at_once_get_no_more_than_there_is(folder: Folder) -> None:
    with ThreadPoolExecutor(10) as threads:
        grants = list(
            threads.map(lambda n: grant_log(folder, f"run-{n}").grant(Decimal("0.3"), Decimal(1)), range(10))
        )
    assert sum(grants) == 1
    assert sorted(grants)[-4:] == [Decimal("0.1"), *[Decimal("0.3")] * 3]


def test_without_a_limit_everything_is_granted_and_counted(folder: Folder) -> None:
    granting = grant_log(folder)
    assert granting.grant(Decimal(5), None) == 5
    assert grant_log(folder).total() == 5


def test_what_was_spent_without_grants_counts_once(folder: Folder) -> None:
    grant_log(folder).prove(Decimal("0.7"))
    grant_log(folder).prove(Decimal("0.7"))
    assert grant_log(folder).grant(Decimal(1), Decimal(1)) == Decimal("0.3")
    grant_log(folder).prove(Decimal("0.9"))
    assert grant_log(folder).total() == 1


def test_another_currency_is_refused(folder: Folder) -> None:
    grant_log(folder).grant(Decimal(1), None)
    with pytest.raises(InvalidInput, match="a budget in USD"):
        grant_log(folder, currency="EUR").total()


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"change": "x", "total": "1"}', b"[]"])
def test_a_damaged_entry_is_named(folder: Folder, damage: bytes) -> None:
    folder.write(f"{GRANTS}00000000.json", damage)
    with pytest.raises(InvalidInput, match=r"00000000\.json is not a grant"):
        grant_log(folder).grant(Decimal(1), None)
