"""However many processes draw at once, on any store, no more is granted than there is."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from prefect_llm.budget.grants import GRANTS, GrantLog
from prefect_llm.system.folders import Folder
from prefect_llm.values.errors import InvalidInput

NOT_A_NUMBER = b'{"change": "NaN", "total": "1", "currency": "USD", "holder": "a", "at": "2026-11-01T00:00:00+00:00"}'


def grant_log(folder: Folder, run_id: str = "run-1", currency: str = "USD") -> GrantLog:
    """As a process of its own would open it."""
    return GrantLog(folder, currency, run_id)


def test_it_grants_what_is_wanted_and_then_what_is_left(folder: Folder) -> None:
    log = grant_log(folder)
    assert log.total() is None
    grants = [log.grant(Decimal("0.4"), Decimal(1)) for _ in range(4)]
    assert grants == [Decimal("0.4"), Decimal("0.4"), Decimal("0.2"), Decimal(0)]
    assert log.total() == 1


def test_what_is_given_back_is_granted_again_by_another_process(folder: Folder) -> None:
    one, other = grant_log(folder), grant_log(folder, "run-2")
    one.grant(Decimal(1), Decimal(1))
    assert other.grant(Decimal("0.5"), Decimal(1)) == 0
    one.give_back(Decimal("0.3"))
    assert other.grant(Decimal("0.5"), Decimal(1)) == Decimal("0.3")
    assert one.total() == other.total() == 1


def test_less_than_the_least_useful_amount_is_not_granted(folder: Folder) -> None:
    log = grant_log(folder)
    log.grant(Decimal("0.7"), Decimal(1))
    assert log.grant(Decimal("0.5"), Decimal(1), least=Decimal("0.4")) == 0
    assert log.grant(Decimal("0.5"), Decimal(1), least=Decimal("0.2")) == Decimal("0.3")


def test_another_process_of_the_run_holds_what_it_may_give_back(folder: Folder) -> None:
    one, other = grant_log(folder), grant_log(folder)

    def seen_by(log: GrantLog) -> bool:
        last = log.last()
        return last is not None and log.others_hold(last)

    one.grant(Decimal(1), None)
    assert (seen_by(one), seen_by(other), seen_by(grant_log(folder, "run-2"))) == (False, True, False)
    one.give_back(Decimal("0.4"))
    assert seen_by(other)
    one.give_back_rest(Decimal("0.1"))
    assert not seen_by(other)
    assert one.total() == Decimal("0.5")


def test_a_process_that_has_spent_all_says_so(folder: Folder) -> None:
    one, other = grant_log(folder), grant_log(folder)
    one.grant(Decimal(1), None)
    one.give_back_rest(Decimal(0))
    last = other.last()
    assert last is not None
    assert (set(last.holding), last.total, last.number) == (set(), Decimal(1), 1)
    one.give_back_rest(Decimal(0))
    assert other.last() == last


def test_what_an_earlier_attempt_was_granted_is_never_given_back(folder: Folder) -> None:
    grant_log(folder).grant(Decimal(1), None)
    log = grant_log(folder)
    log.count_earlier_spend(Decimal(0))
    last = log.last()
    assert last is not None
    assert (set(last.holding), last.total) == (set(), Decimal(1))


def test_in_a_log_of_many_runs_only_this_run_s_earlier_attempts_are_dropped(folder: Folder) -> None:
    other = grant_log(folder, "run-2")
    other.grant(Decimal(1), None)
    grant_log(folder).grant(Decimal(1), None)
    grant_log(folder).drop_earlier_holders()
    last = other.last()
    assert last is not None
    assert (last.total, len(last.holding), other.others_hold(last)) == (Decimal(2), 1, False)
    grant_log(folder).drop_earlier_holders()
    assert other.last() == last


def test_an_entry_from_before_holders_were_kept_is_read(folder: Folder) -> None:
    entry = {"change": "1", "total": "1", "currency": "USD", "holder": "run-1", "at": "2026-11-01T00:00:00+00:00"}
    folder.write(f"{GRANTS}00000000.json", json.dumps(entry).encode())
    last = grant_log(folder).last()
    assert last is not None
    assert (set(last.holding), last.total) == (set(), Decimal(1))


def test_ten_processes_that_draw_at_once_get_no_more_than_there_is(folder: Folder) -> None:
    with ThreadPoolExecutor(10) as threads:
        grants = list(
            threads.map(lambda n: grant_log(folder, f"run-{n}").grant(Decimal("0.3"), Decimal(1)), range(10))
        )
    assert sum(grants) == 1
    assert sorted(grants)[-4:] == [Decimal("0.1"), *[Decimal("0.3")] * 3]


def test_without_a_limit_everything_is_granted_and_counted(folder: Folder) -> None:
    log = grant_log(folder)
    assert log.grant(Decimal(5), None) == 5
    assert grant_log(folder).total() == 5


def test_what_was_spent_without_grants_counts_once(folder: Folder) -> None:
    grant_log(folder).count_earlier_spend(Decimal("0.7"))
    grant_log(folder).count_earlier_spend(Decimal("0.7"))
    assert grant_log(folder).grant(Decimal(1), Decimal(1)) == Decimal("0.3")
    grant_log(folder).count_earlier_spend(Decimal("0.9"))
    assert grant_log(folder).total() == 1


def test_another_currency_is_refused(folder: Folder) -> None:
    grant_log(folder).grant(Decimal(1), None)
    with pytest.raises(InvalidInput, match="a budget in USD"):
        grant_log(folder, currency="EUR").total()


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"change": "x", "total": "1"}', b"[]", NOT_A_NUMBER])
def test_a_damaged_entry_is_named(folder: Folder, damage: bytes) -> None:
    folder.write(f"{GRANTS}00000000.json", damage)
    with pytest.raises(InvalidInput, match=r"00000000\.json is not a grant"):
        grant_log(folder).grant(Decimal(1), None)
