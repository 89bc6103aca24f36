"""The money that an earlier build granted counts in this one."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from tests.compatibility.conftest import Thawed
from tests.compatibility.frozen import OUTPUT, asked_of, frozen_run, holds, stable_summary

SPENT = Decimal("0.001702")
"""By the run `budget`, as its month's log has it too."""


@frozen_run("budget")
def test_the_same_budget_is_still_spent(thawed: Thawed) -> None:
    """The same command asks nothing, and stops as then."""
    ended, expected = thawed.act("again")
    assert ended.status == expected["status"] == 3
    assert asked_of(thawed.server) == {}
    assert holds(stable_summary(ended), expected["summary"])


@frozen_run("budget")
def test_leaving_the_budgets_out_does_not_lift_them(thawed: Thawed) -> None:
    """Either is asked for by name."""
    resume = ["resume", OUTPUT, "--price-input", "2", "--price-output", "8"]
    for given, missing in (((), "max_cost"), (("--max-cost", "1"), "max_cost_per_month")):
        refused = thawed.carry_out([*resume, *given])
        assert refused.status == 2
        assert f"give {missing} again" in refused.refusals[0]
    assert asked_of(thawed.server) == {}


@frozen_run("budget")
def test_what_the_month_has_spent_counts_for_a_new_run_beside_it(thawed: Thawed) -> None:
    """It may spend what is left of the month, and no more."""
    (month,) = (thawed.folder / ".budget").iterdir()
    month.rename(month.with_name(f"{datetime.now(UTC):%Y-%m}"))
    left = Decimal("0.001")
    command = with_limits(thawed.said["command"], max_cost=Decimal(1), max_cost_per_month=SPENT + left)
    ended = thawed.carry_out(command, "another")
    assert (ended.status, ended.summary["stopped"]["kind"]) == (3, "BudgetExceeded")
    spent = Decimal(ended.summary["cost"]) + Decimal(ended.summary["cost_uncertain"])
    assert 0 < spent <= left


@frozen_run("budget_killed")
def test_what_a_killed_process_was_granted_stays_spent(thawed: Thawed) -> None:
    """Nobody can tell whether its requests were billed: it is uncertain, within the budget."""
    ended, _ = thawed.act("resume")
    cost, uncertain = Decimal(ended.summary["cost"]), Decimal(ended.summary["cost_uncertain"])
    assert uncertain > 0
    assert cost + uncertain <= Decimal("0.02")


def with_limits(command: list[str], **limits: Decimal) -> list[str]:
    """The command with other budgets."""
    changed = list(command)
    for name, limit in limits.items():
        changed[changed.index(f"--{name.replace('_', '-')}") + 1] = str(limit)
    return changed
