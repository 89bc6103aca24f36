"""Limits stay with a run's directory from attempt to attempt: leaving one out does not lift it."""

from __future__ import annotations

from prefect_llm.store import Manifest, RunDirectory, check_owner
from prefect_llm.values.budget import RunBudget
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.formatting import money


def persist_limits(directory: RunDirectory, manifest: Manifest, budget: RunBudget | None, epoch: int) -> None:
    """Write the limits to the manifest, in place of earlier ones.

    Raises `InvalidInput` if a limit was given before and is not now, `Superseded` if a later owner has taken over the
    directory.
    """
    if budget == manifest.budget:
        return
    if manifest.budget is not None:
        _check_given_again(manifest.budget, budget, directory.url)

    check_owner(directory.folder, epoch)
    directory.write_manifest(directory.check_run().changed(budget=budget))


def _check_given_again(before: RunBudget, now: RunBudget | None, where: str) -> None:
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
