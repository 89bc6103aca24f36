"""The section `api` of run.yaml: which endpoint and model are asked, how often and how long, and at what price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from prefect_llm.prompts.parameters import MAX_TEMPERATURE
from prefect_llm.settings.field_markers import FIXED, ProviderSetting
from prefect_llm.settings.form_schema import FormSection
from prefect_llm.settings.messages import Wording
from prefect_llm.settings.value_types import (
    Address,
    Amount,
    Count,
    Currency,
    Fallbacks,
    HeaderVariables,
    ModelName,
    OutputLimit,
    Parameters,
    Seconds,
    Temperature,
    Variable,
)
from prefect_llm.values.provider import RetryOptions, Timeouts

LIMIT_PARAMETER = "max_completion_tokens"
_TIMEOUTS = Timeouts()
_RETRIES = RetryOptions()


class ApiOptions(FormSection):
    """Where the answers come from, how they are asked for and what they cost."""

    # A key that was typed into the wrong field must not come back in an error.
    model_config = ConfigDict(title="API", hide_input_in_errors=True)

    base_url: Address | None = Field(
        default=None,
        title="Base URL",
        description="The endpoint up to and including /v1, if no provider block is used.",
    )
    api_key_env: Variable | None = Field(
        default=None,
        title="API key variable",
        description=(
            "The environment variable that holds the key for the base URL; by default PREFECT_LLM_API_KEY. "
            "It does not apply to a base URL that replaces the one it was given with."
        ),
    )
    header: HeaderVariables = Field(
        default_factory=dict,
        title="Headers",
        description=(
            "Further headers of every request, each with the environment variable that holds its value, as in "
            '{"x-tenant": "TENANT"}. They apply only to the endpoint they were given for.'
        ),
    )
    max_output_tokens: Annotated[Count | None, FIXED] = Field(
        default=None, title="Output limit", description="The most tokens an answer may have."
    )
    output_limit_name: Annotated[OutputLimit, ProviderSetting("output_limit_name")] = Field(
        default="auto",
        title="Output limit's name",
        description=(
            "What requests call the output limit, max_tokens or max_completion_tokens; auto finds it out from the "
            "endpoint's first refusal."
        ),
    )
    fail_truncated: Annotated[bool, FIXED] = Field(
        default=False,
        title="Truncated answers fail",
        description="An answer cut off at the output limit counts as failed; with a schema it always does.",
    )
    lenient_json: Annotated[bool, FIXED] = Field(
        default=False,
        title="Lenient JSON",
        description=(
            "Take a Markdown fence and a block of thoughts off an answer before it is checked by the schema; by "
            "default such an answer fails."
        ),
    )
    keep_reasoning: Annotated[bool, FIXED] = Field(
        default=False,
        title="Keep reasoning",
        description="Keep what the model thought, where the endpoint shows it, in the column reasoning.",
    )
    temperature: Annotated[Temperature | None, FIXED] = Field(
        default=None,
        title="Temperature",
        description=f"The sampling temperature, from 0 to {MAX_TEMPERATURE}; by default the provider's own.",
    )
    param: Annotated[Parameters, FIXED] = Field(
        default_factory=dict,
        title="Parameters",
        description='Further parameters of every request, by name, as in {"top_p": 0.9}.',
    )
    timeout: Annotated[Seconds, ProviderSetting("timeouts.attempt_s")] = Field(
        default=_TIMEOUTS.attempt_s, title="Timeout (s)", description="Seconds that one attempt may take."
    )
    idle_timeout: Annotated[Seconds | None, ProviderSetting("timeouts.idle_s")] = Field(
        default=None,
        title="Idle timeout (s)",
        description=(
            "Stream the answers, and give up an attempt after this many seconds of silence; the timeout then does "
            "not apply."
        ),
    )
    deadline: Annotated[Seconds | None, ProviderSetting("timeouts.deadline_s")] = Field(
        default=None,
        title="Deadline (s)",
        description="Seconds that a document may take over all its attempts; by default only attempts are bounded.",
    )
    max_attempts: Annotated[Count, ProviderSetting("retries.max_attempts")] = Field(
        default=_RETRIES.max_attempts,
        title="Attempts",
        description="The most times that one request is sent when the endpoint fails.",
    )
    outage_patience: Annotated[Seconds, ProviderSetting("retries.outage_s")] = Field(
        default=_RETRIES.outage_s,
        title="Outage patience (s)",
        description="Seconds without a single success after which the run stops; it can be resumed.",
    )
    fallback: Fallbacks = Field(
        default=(),
        title="Fallbacks",
        description=(
            "What to ask instead, in this order, if the provider is down, its model is gone, or the context is too "
            "long: BLOCK/MODEL, or /MODEL for another model of the same provider."
        ),
    )
    price_input: Amount | None = Field(
        default=None, title="Input price", description="The price of 1,000,000 input tokens."
    )
    price_cached_input: Amount | None = Field(
        default=None,
        title="Cached input price",
        description="The price of 1,000,000 cached input tokens; by default the input price.",
    )
    price_output: Amount | None = Field(
        default=None, title="Output price", description="The price of 1,000,000 output tokens."
    )
    price_per_hour: Amount | None = Field(
        default=None,
        title="Price per hour",
        description=(
            "The price of an hour of the endpoint, if you run the machines yourself; each row is charged its share."
        ),
    )
    currency: Currency = Field(
        default="USD",
        title="Currency",
        description="The currency of the prices, three capital letters as in ISO 4217.",
    )

    @model_validator(mode="before")
    @classmethod
    def _limit_among_parameters(cls, given: Any) -> Any:
        """The output limit may stand among the parameters, which then also says how it is called."""
        param = given.get("param") if isinstance(given, dict) else None
        if not isinstance(param, Mapping):
            return given
        limit = param.get(LIMIT_PARAMETER)
        if type(limit) is not int or limit < 1 or given.get("max_output_tokens") not in (None, limit, str(limit)):
            return given  # refused as another name of the output limit
        others = {name: value for name, value in param.items() if name != LIMIT_PARAMETER}
        return {"output_limit_name": LIMIT_PARAMETER, **given, "param": others, "max_output_tokens": limit}


class ApiSection(ApiOptions):
    """Which provider and model are asked, and how."""

    model_config = ConfigDict(title="API")

    provider: Annotated[str, Field(min_length=1), Wording("BLOCK", "the name of a block")] | None = Field(
        default=None,
        title="Provider",
        description="The name of a saved LLM Provider block, which holds endpoint, key, limits and prices.",
    )
    model: Annotated[ModelName | None, FIXED] = Field(
        default=None, title="Model", description="The model to ask; by default the provider block's own."
    )
