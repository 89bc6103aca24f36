"""A run that waits for approval: its estimate comes first, and is shown in the form that resumes the run.

A deployment's flow run is suspended: it holds no process and no directory while it waits, and a worker takes it up
again. Prefect suspends no other flow run; in those the process waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Literal

from prefect import get_client, get_run_logger, pause_flow_run, suspend_flow_run
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import FlowPauseTimeout
from prefect.input import RunInput, delete_flow_run_input, keyset_from_paused_state, read_flow_run_input
from prefect.states import Paused, Suspended
from pydantic import ConfigDict, Field, model_validator

from prefect_llm.blocks import ProviderReference
from prefect_llm.blocks.prefect_calls import patiently
from prefect_llm.estimating import (
    LEAST_SAMPLE,
    Estimate,
    SampleOptions,
    headline,
    sample_directory,
    to_markdown,
    with_sample_answers,
)
from prefect_llm.flows.form import Choice
from prefect_llm.run.finishing import finish_run, release_run
from prefect_llm.run.reference import RunReference
from prefect_llm.settings.form_schema import FormSection
from prefect_llm.tasks import estimate_run
from prefect_llm.values.errors import NotApproved
from prefect_llm.values.formatting import money

POLL_S = 3
"""Between two checks whether the run was resumed."""
_HOUR_S = 3600
_KEY = "approval"


class ApprovalOptions(FormSection):
    """What is shown for approval, and when none is needed."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Approval")
    filled_in = frozenset({"timeout_hours"})

    above: Annotated[Decimal, Field(ge=0)] | None = Field(
        default=None,
        title="Above",
        description=(
            "Start without approval if the estimate's upper end is at most this much, in the currency of the prices. "
            "If empty, or if no upper end is known, approval is always needed."
        ),
    )
    sample: int = Field(
        default=0,
        ge=0,
        title="Sample",
        description="Send this many requests for the estimate, at least 10; 0 sends none.",
    )
    preview_rows: int = Field(
        default=0,
        ge=0,
        le=200,
        title="Preview rows",
        description="Show this many answers of the sample, which is then at least as large.",
    )
    timeout_hours: float = Field(
        default=24.0,
        gt=0,
        title="Timeout (h)",
        description="Hours to wait for approval; after that the run fails, and nothing more is asked. A deployment's "
        "run is suspended meanwhile and holds no process; without a deployment the process waits.",
    )

    @model_validator(mode="after")
    def _sample_says_something(self) -> ApprovalOptions:
        if 0 < self.sample_size < LEAST_SAMPLE:
            raise ValueError(f"a sample of {self.sample_size} says too little: give {LEAST_SAMPLE} or more")
        return self

    @property
    def sample_size(self) -> int:
        """How many requests are sent before approval."""
        return max(self.sample, self.preview_rows)


ApprovalChoice = Annotated[ApprovalOptions | None, Choice("Begin at once")]


class Approval(RunInput):
    """The answer to the form that the paused run shows."""

    decision: Literal["approve", "reject"] = Field(description="Start the run, or end it and ask nothing more.")
    reason: str = Field(default="", description="Shown in the run's state if it is rejected.")


def require_approval(run: RunReference, provider: ProviderReference, options: ApprovalOptions) -> RunReference:
    """The run, once it may start; it reuses the answers of the sample that was shown.

    Raises `NotApproved`, after finishing the run as stopped by it, and whatever error stopped the sample. A later
    attempt at an approved flow run does not ask for approval again.
    """
    try:
        return _await_approval(run, provider, options)
    except NotApproved as error:
        finish_run(run, (), error)
        raise
    except BaseException:
        release_run(run)
        raise


def _await_approval(run: RunReference, provider: ProviderReference, options: ApprovalOptions) -> RunReference:
    if not run.pending:
        return run

    sample = None
    if options.sample_size:
        sample = SampleOptions(options.sample_size, sample_directory(run.url), budget=run.budget)
    estimate = estimate_run(run, provider, sample=sample, preview_rows=options.preview_rows)
    if _is_cheap(estimate, options.above):
        assert options.above is not None
        limit = money(options.above, estimate.lines[0].currency)
        get_run_logger().info("started without approval: the cost is expected to be at most %s", limit)
    else:
        _check_answer(_answer(run, estimate, options), estimate)

    return run if estimate.sample is None else with_sample_answers(run, estimate.sample.output, estimate.sample.cost)


def _is_cheap(estimate: Estimate, above: Decimal | None) -> bool:
    return above is not None and estimate.most_cost is not None and estimate.most_cost <= above


def _answer(run: RunReference, estimate: Estimate, options: ApprovalOptions) -> Approval | None:
    """What the person said, now or before this attempt; `None` where the run was resumed without an answer.

    Raises `NotApproved` where nobody answers in time, and Prefect's `Pause` where the flow run is suspended.
    """
    keys = _keys()
    if (answer := _earlier(keys)) is not None:
        return answer

    form = Approval.with_initial_data(description=to_markdown(estimate, options.preview_rows))
    timeout_s = max(1, round(options.timeout_hours * _HOUR_S))
    if _can_be_suspended():
        _leave(run, estimate, options)
        suspend_flow_run(form, timeout=timeout_s, key=keys[-1])

    try:
        pause_flow_run(form, timeout=timeout_s, poll_interval=POLL_S, key=keys[-1])
    except FlowPauseTimeout as error:
        raise NotApproved(
            # The server makes this a Failed state of its own: the pause is over for it.
            f"the estimate was not approved within {options.timeout_hours:g} h ({headline(estimate)}): run it again"
        ) from error

    _adopt_run_count()
    return _earlier(keys[-1:])


def _check_answer(answer: Approval | None, estimate: Estimate) -> None:
    """Raise `NotApproved` unless the answer approves."""
    if answer is None or answer.decision == "reject":
        reason = f": {answer.reason}" if answer is not None and answer.reason else ""
        raise NotApproved(f"the estimate was rejected{reason} ({headline(estimate)})")


def _can_be_suspended() -> bool:
    """Whether a worker would take the flow run up again: not where another flow or a person's process called it."""
    context = FlowRunContext.get()
    flow_run = None if context is None else context.flow_run
    return flow_run is not None and flow_run.deployment_id is not None and flow_run.parent_task_run_id is None


def _leave(run: RunReference, estimate: Estimate, options: ApprovalOptions) -> None:
    """Give the directory back before the flow run is suspended: the next process may begin at once."""
    waiting = f"the run waits for approval, up to {options.timeout_hours:g} h ({headline(estimate)})"
    get_run_logger().info("%s; it is suspended, and holds no process meanwhile", waiting)
    finish_run(run, (), NotApproved(waiting))


def _adopt_run_count() -> None:
    """Adopt the count that resuming has raised: this process would otherwise seem replaced by a newer attempt."""
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        resumed = context.flow_run
        with get_client(sync_client=True) as client:
            resumed.run_count = patiently(lambda: client.read_flow_run(resumed.id)).run_count


def _keys() -> list[str]:
    """The keys of the pauses of this flow run, one an attempt; the last is this attempt's."""
    context = FlowRunContext.get()
    attempt = context.flow_run.run_count if context is not None and context.flow_run is not None else 1
    return [f"{_KEY}-{number}" for number in range(1, attempt + 1)]


def _earlier(keys: Sequence[str]) -> Approval | None:
    """The answer to any of these pauses. A rejection counts once: a later attempt asks again."""
    for key in keys:
        paused: tuple[State[None], ...] = (Paused(pause_key=key), Suspended(pause_key=key))
        for keyset in map(keyset_from_paused_state, paused):
            given = read_flow_run_input(keyset["response"])
            if given is not None:
                answer = Approval.model_validate(given)
                if answer.decision == "reject":
                    delete_flow_run_input(keyset["response"])
                return answer
    return None
