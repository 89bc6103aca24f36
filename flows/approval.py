"""A run that waits for approval: its estimate comes first, and is shown in the form that resumes the run."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, cast

from prefect import get_client, get_run_logger, pause_flow_run
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import FlowPauseTimeout, ObjectNotFound
from prefect.input import RunInput, keyset_from_paused_state
from prefect.states import Paused
from pydantic import ConfigDict, Field, model_validator

from prefect_llm.blocks import ProviderReference
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
        description="Hours to wait for approval; after that the run fails, and nothing more is asked.",
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
        _pause(estimate, options)

    return run if estimate.sample is None else with_sample_answers(run, estimate.sample.output, estimate.sample.cost)


def _is_cheap(estimate: Estimate, above: Decimal | None) -> bool:
    return above is not None and estimate.most_cost is not None and estimate.most_cost <= above


def _pause(estimate: Estimate, options: ApprovalOptions) -> None:
    """Pause until someone approves. Raises `NotApproved`."""
    form = Approval.with_initial_data(description=to_markdown(estimate, options.preview_rows))
    timeout_s = max(1, round(options.timeout_hours * _HOUR_S))
    key = _key()

    try:
        # Prefect returns nothing where this pause has been resumed in an earlier attempt at the flow run.
        answer = pause_flow_run(form, timeout=timeout_s, poll_interval=POLL_S, key=key) or _earlier(key)
    except FlowPauseTimeout as error:
        raise NotApproved(
            # The server makes this a Failed state of its own: the pause is over for it.
            f"the estimate was not approved within {options.timeout_hours:g} h ({headline(estimate)}): run it again"
        ) from error

    _adopt_run_count()
    if answer is None or answer.decision == "reject":
        reason = f": {answer.reason}" if answer is not None and answer.reason else ""
        raise NotApproved(f"the estimate was rejected{reason} ({headline(estimate)})")


def _adopt_run_count() -> None:
    """Adopt the count that resuming has raised: this process would otherwise seem replaced by a newer attempt."""
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        with get_client(sync_client=True) as client:
            context.flow_run.run_count = client.read_flow_run(context.flow_run.id).run_count


def _key() -> str:
    """The key of the pause that an earlier attempt got approved, else this attempt's own."""
    context = FlowRunContext.get()
    attempt = context.flow_run.run_count if context is not None and context.flow_run is not None else 1
    keys = [f"{_KEY}-{number}" for number in range(1, attempt + 1)]
    for key in keys[:-1]:
        if (answer := _earlier(key)) is not None and answer.decision == "approve":
            return key
    return keys[-1]


def _earlier(key: str) -> Approval | None:
    paused: State[None] = Paused(pause_key=key)
    try:
        return cast(Approval, Approval.load(keyset_from_paused_state(paused)))
    except ObjectNotFound:
        return None
