"""A run that waits for a person: its estimate is made first, and shown in the form by which the run is resumed."""

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
    taking_answers,
    to_markdown,
)
from prefect_llm.flows.form import Choice
from prefect_llm.run.finishing import finish_run, release_run
from prefect_llm.run.reference import RunReference
from prefect_llm.settings.form_schema import FormSection
from prefect_llm.tasks import estimate_run
from prefect_llm.values.errors import NotApproved
from prefect_llm.values.formatting import money

POLL_S = 3
"""Between two looks at whether the run was resumed."""
_HOUR_S = 3600
_KEY = "approval"


class ApprovalOptions(FormSection):
    """What a person is shown, and when nobody is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Approval")
    filled_in = frozenset({"timeout_hours"})

    above: Annotated[Decimal, Field(ge=0)] | None = Field(
        default=None,
        title="Above",
        description=(
            "The cost, in the currency of the prices, up to which the run goes on by itself: the upper end of the "
            "estimate counts. Without it, and where no upper end is known, a person is always asked."
        ),
    )
    sample: int = Field(
        default=0,
        ge=0,
        title="Sample",
        description="So many requests are really asked for the estimate, 10 at least; 0 asks none.",
    )
    preview_rows: int = Field(
        default=0,
        ge=0,
        le=200,
        title="Preview rows",
        description="So many answers of the sample are shown; the sample is at least as large.",
    )
    timeout_hours: float = Field(
        default=24.0,
        gt=0,
        title="Timeout (h)",
        description="Hours to wait for the approval; after that the run fails, with nothing more asked.",
    )

    @model_validator(mode="after")
    def _sample_says_something(self) -> ApprovalOptions:
        if 0 < self.sample_size < LEAST_SAMPLE:
            raise ValueError(f"a sample of {self.sample_size} says too little: give {LEAST_SAMPLE} or more")
        return self

    @property
    def sample_size(self) -> int:
        """How many requests are asked before the approval."""
        return max(self.sample, self.preview_rows)


ApprovalChoice = Annotated[ApprovalOptions | None, Choice("Begin at once")]


class Approval(RunInput):
    """What the person answers, in the form that the paused run shows."""

    decision: Literal["approve", "reject"] = Field(description="Begin the run, or end it with nothing more asked.")
    reason: str = Field(default="", description="Shown in the run's state where it is rejected.")


def require_approval(run: RunReference, provider: ProviderReference, options: ApprovalOptions) -> RunReference:
    """The run once it may begin; it takes the answers of the sample that was shown.

    Raises `NotApproved`, with the run finished as stopped by that, and whatever stopped the sample. In
    another attempt at a flow run that was approved nobody is asked again.
    """
    try:
        return _approved(run, provider, options)
    except NotApproved as error:
        finish_run(run, (), error)
        raise
    except BaseException:
        release_run(run)
        raise


def _approved(run: RunReference, provider: ProviderReference, options: ApprovalOptions) -> RunReference:
    if not run.pending:
        return run

    sample = None
    if options.sample_size:
        sample = SampleOptions(options.sample_size, sample_directory(run.url), budget=run.budget)
    found = estimate_run(run, provider, sample=sample, preview_rows=options.preview_rows)
    if _is_cheap(found, options.above):
        assert options.above is not None
        limit = money(options.above, found.lines[0].currency)
        get_run_logger().info("begun without approval: the cost is expected to be at most %s", limit)
    else:
        _ask(found, options)

    return run if found.sample is None else taking_answers(run, found.sample.output, found.sample.cost)


def _is_cheap(found: Estimate, above: Decimal | None) -> bool:
    return above is not None and found.most_cost is not None and found.most_cost <= above


def _ask(found: Estimate, options: ApprovalOptions) -> None:
    """Pause until someone approves. Raises `NotApproved`."""
    form = Approval.with_initial_data(description=to_markdown(found, options.preview_rows))
    timeout_s = max(1, round(options.timeout_hours * _HOUR_S))
    key = _key()

    try:
        # Prefect returns nothing where this pause has been resumed in an earlier attempt at the flow run.
        answer = pause_flow_run(form, timeout=timeout_s, poll_interval=POLL_S, key=key) or _earlier(key)
    except FlowPauseTimeout as error:
        raise NotApproved(
            # The server makes this a Failed state of its own: the pause is over for it.
            f"nobody approved the estimate within {options.timeout_hours:g} h ({headline(found)}): run it again"
        ) from error

    _count_the_resumption()
    if answer is None or answer.decision == "reject":
        reason = f": {answer.reason}" if answer is not None and answer.reason else ""
        raise NotApproved(f"the estimate was rejected{reason} ({headline(found)})")


def _count_the_resumption() -> None:
    """To resume counts as another start of the flow run, by which it would be taken for tried again."""
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        with get_client(sync_client=True) as client:
            context.flow_run.run_count = client.read_flow_run(context.flow_run.id).run_count


def _key() -> str:
    """That of the pause that was approved in an earlier attempt, else one of this attempt's own."""
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
