"""A run's budget from one attempt to the next: it stays with the directory, and leaving it out does not lift it."""

from __future__ import annotations

from prefect_llm.budget.account import RunBudget
from prefect_llm.store import BudgetLimits, Manifest, RunDirectory, check_owner
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.formatting import money


def persist_limits(directory: RunDirectory, manifest: Manifest, budget: RunBudget | None, epoch: int) -> None:
    """Write down what may be spent, in the place of what was given before.

    Raises `InvalidInput` where a limit was given before and is not now, and `Superseded` where a later owner has
    taken the directory over.
    """
    given = None if budget is None else _limits(budget)
    if given == manifest.budget:
        return
    if manifest.budget is not None:
        _check_given(manifest.budget, given, directory.url)
    check_owner(directory.folder, epoch)
    directory.write_manifest(directory.check_run().changed(budget=given))


def _limits(budget: RunBudget) -> BudgetLimits:
    return BudgetLimits(budget.max_cost, None if budget.month is None else budget.month.max_cost, budget.currency)


def _check_given(before: BudgetLimits, now: BudgetLimits | None, where: str) -> None:
    if before.max_cost is not None and (now is None or now.max_cost is None):
        raise InvalidInput(
            f"the run in {where} has a budget of {money(before.max_cost, before.currency)}: give max_cost again, "
            "the same or a larger one"
        )
    if before.max_cost_per_month is not None and (now is None or now.max_cost_per_month is None):
        raise InvalidInput(
            f"the run in {where} has a budget of {money(before.max_cost_per_month, before.currency)} a month: give "
            "max_cost_per_month again, the same or a larger one"
        )
