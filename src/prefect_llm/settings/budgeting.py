"""The budget that options ask for: of the run, and of all runs of a month below the same directory."""

from __future__ import annotations

from datetime import datetime

from prefect_llm.budget.limits import NO_PARAMS, run_budget
from prefect_llm.prompts import PromptSpec
from prefect_llm.settings.batch_options import BatchOptions
from prefect_llm.settings.directory_name import parent_of
from prefect_llm.values.budget import RunBudget
from prefect_llm.values.provider import Provider

MONTHS = ".budget"
"""Beside the runs: the grants of each month, in a folder of their own."""


def budget_of(
    batch: BatchOptions,
    provider: Provider,
    model: str,
    output: str,
    *,
    now: datetime,
    owner: str | None = None,
    prompt: PromptSpec | None = None,
) -> RunBudget | None:
    """What may be spent; `None` without a limit.

    `output` is the template of the run's directory: months are counted beside the runs that it names, and apart for
    each `owner`, a deployment's name. A run counts in the month (UTC) of `now`. The parameters of the
    `prompt` may set the price, unless rows have parameters of their own. Raises `InvalidInput` where the price is not
    known.
    """
    folders = [MONTHS, *([owner.replace("/", "-")] if owner else []), f"{now:%Y-%m}"]
    return run_budget(
        provider,
        model,
        max_cost=batch.max_cost,
        max_cost_per_month=batch.max_cost_per_month,
        month_folder=parent_of(output),
        month_prefix=f"{'/'.join(folders)}/",
        params=NO_PARAMS if prompt is None or prompt.row_params is not None else prompt.params,
    )
