"""The block that holds what a provider needs: endpoint, key, limits and prices. It opens no connection."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar

from prefect.blocks.core import Block
from prefect.types import SecretDict
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    HttpUrl,
    SecretStr,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from prefect_llm.engine import Verified, verify
from prefect_llm.settings.field_markers import ProviderSetting, with_settings
from prefect_llm.settings.form_schema import left_open, without_empty
from prefect_llm.settings.value_types import endpoint_address
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Limits, OutputLimitName, Provider, RetryOptions, Timeouts, TokenAccounting

HIDDEN = "**********"
"""What pydantic shows of a secret."""
_DEFAULT_LIMITS = Limits()
_DEFAULT_TIMEOUTS = Timeouts()
_DEFAULT_RETRIES = RetryOptions()


class ModelPrice(BaseModel):
    """What one model costs, per 1,000,000 tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Decimal = Field(title="Input", ge=0, description="Price of 1,000,000 input tokens.")
    output: Decimal = Field(title="Output", ge=0, description="Price of 1,000,000 output tokens.")
    per_hour: Decimal | None = Field(
        default=None,
        title="Per hour",
        ge=0,
        description="Price of an hour of the endpoint, if you run the machines yourself; tokens may then cost 0.",
    )
    cached_input: Decimal | None = Field(
        default=None,
        title="Cached input",
        ge=0,
        description="Price of 1,000,000 cached input tokens; the input price if empty.",
    )
    currency: str = Field(
        default="USD", title="Currency", pattern="^[A-Z]{3}$", description="Three letters, as in ISO 4217."
    )
    date: str | None = Field(
        default=None,
        title="Date",
        pattern=r"^\d{4}-\d{2}-\d{2}$",
        description="The day this price was looked up, as 2026-01-31.",
    )
    source: str | None = Field(
        default=None, title="Source", description="Where this price was found, for instance a web address."
    )

    def to_price(self) -> Price:
        """The price with its provenance in one line, as the column `price_source` shows it."""
        provenance = " ".join(part for part in ("block", self.source, self.date) if part)
        return Price(
            input=self.input,
            output=self.output,
            per_hour=self.per_hour,
            cached_input=self.cached_input,
            currency=self.currency,
            source=provenance,
            date=self.date,
        )


class LLMProvider(Block):
    """Endpoint, credentials, limits and prices of one LLM provider.

    Example:
        Load a saved provider and check that it answers:
        ```python
        from prefect_llm import LLMProvider

        provider = LLMProvider.load("BLOCK_NAME")
        provider.verify()
        ```
    """

    # What was typed into a wrong field may be the key: an error names the field, and repeats nothing.
    model_config = ConfigDict(hide_input_in_errors=True)

    _block_type_name: ClassVar[str] = "LLM Provider"
    _block_type_slug: ClassVar[str] = "llm-provider"
    _description: ClassVar[str] = "Endpoint, credentials, limits and prices of one LLM provider."
    # The API that most providers imitate. No logo: Prefect's clients take web addresses only, and fail to load a
    # block whose type has a data URI; one from the web is not drawn without network.
    _documentation_url: ClassVar[HttpUrl] = HttpUrl("https://platform.openai.com/docs/api-reference")

    base_url: str = Field(
        title="Base URL",
        description="The endpoint up to and including /v1; requests go to {base URL}/chat/completions.",
        examples=["https://api.openai.com/v1"],
    )
    api_key: SecretStr = Field(
        default=SecretStr(""), title="API key", description="Sent as a bearer token; empty where none is needed."
    )
    model: str | None = Field(
        default=None, title="Default model", description="The model to ask when a run names none."
    )
    headers: SecretDict = Field(
        default_factory=lambda: SecretDict({}),
        title="Extra headers",
        description='Further headers for every request, by name, as {"x-tenant": "seven"}.',
    )
    output_limit_name: Annotated[OutputLimitName | None, ProviderSetting("output_limit_name")] = Field(
        default=None,
        title="Output limit's name",
        description="What requests call the output limit; found out from the endpoint's first refusal if empty.",
    )
    timeout: Annotated[float, ProviderSetting("timeouts.attempt_s")] = Field(
        default=_DEFAULT_TIMEOUTS.attempt_s,
        gt=0,
        title="Timeout (s)",
        description="Seconds that one attempt may take from sending to the answer's last byte.",
    )
    idle_timeout: Annotated[float | None, ProviderSetting("timeouts.idle_s")] = Field(
        default=None,
        gt=0,
        title="Idle timeout (s)",
        description="Answers are then streamed, and only this many seconds of silence end an attempt; off if empty.",
    )
    deadline: Annotated[float | None, ProviderSetting("timeouts.deadline_s")] = Field(
        default=None,
        gt=0,
        title="Deadline (s)",
        description="Seconds that a document may take over all its attempts; no bound if empty.",
    )
    connect_timeout: Annotated[float, ProviderSetting("timeouts.connect_s")] = Field(
        default=_DEFAULT_TIMEOUTS.connect_s,
        gt=0,
        title="Connect timeout (s)",
        description="Seconds that opening a connection may take.",
    )
    max_attempts: Annotated[int, ProviderSetting("retries.max_attempts")] = Field(
        default=_DEFAULT_RETRIES.max_attempts,
        ge=1,
        title="Attempts",
        description="The most times that one request is sent when the endpoint fails.",
    )
    outage_patience: Annotated[float, ProviderSetting("retries.outage_s")] = Field(
        default=_DEFAULT_RETRIES.outage_s,
        ge=0,
        title="Outage patience (s)",
        description="Seconds without a single success after which a run stops, to be resumed later.",
    )
    concurrency: Annotated[int | None, ProviderSetting("limits.concurrency")] = Field(
        default=None,
        ge=1,
        title="Concurrency",
        description="The most requests in flight at once, over all flows of a process; found automatically if empty.",
    )
    max_concurrency: Annotated[int, ProviderSetting("limits.max_concurrency")] = Field(
        default=_DEFAULT_LIMITS.max_concurrency,
        ge=1,
        title="Greatest concurrency",
        description="The most requests in flight at once where the concurrency is found automatically.",
    )
    requests_per_minute: Annotated[int | None, ProviderSetting("limits.requests_per_minute")] = Field(
        default=None, ge=1, title="Requests per minute", description="The account's limit; none if empty."
    )
    tokens_per_minute: Annotated[int | None, ProviderSetting("limits.tokens_per_minute")] = Field(
        default=None,
        ge=1,
        title="Tokens per minute",
        description="The account's limit of input and output tokens together; none if empty.",
    )
    input_tokens_per_minute: Annotated[int | None, ProviderSetting("limits.input_tokens_per_minute")] = Field(
        default=None,
        ge=1,
        title="Input tokens per minute",
        description="The account's limit of input tokens, if they are counted separately.",
    )
    output_tokens_per_minute: Annotated[int | None, ProviderSetting("limits.output_tokens_per_minute")] = Field(
        default=None,
        ge=1,
        title="Output tokens per minute",
        description="The account's limit of output tokens, if they are counted separately.",
    )
    token_accounting: Annotated[TokenAccounting, ProviderSetting("limits.token_accounting")] = Field(
        default=_DEFAULT_LIMITS.token_accounting,
        title="Token accounting",
        description="Whether the provider counts what a request reserves (safe everywhere) or what it has used.",
    )
    share_limits: bool = Field(
        default=True,
        title="Share limits",
        description="In flow runs, share the limits among all processes that use this block, by the Prefect server.",
    )
    prices: dict[str, ModelPrice] = Field(
        default_factory=dict,
        title="Prices",
        description=(
            'What 1,000,000 tokens cost, by model, as {"gpt-4.1-mini": {"input": 0.4, "output": 1.6}}; '
            "without an entry the list price holds where one is known, else rows have no cost."
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: Any) -> Any:
        """The form saves null for a field that was emptied; its default then holds."""
        return without_empty(given)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Boxes that may stay empty in the place of switches between a type and null."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema)["properties"]
        for name, field in cls.model_fields.items():
            if field.default is None:
                properties[name] = left_open(properties[name])
        return schema

    @model_serializer(mode="wrap")
    def ser_model(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
        """As Prefect stores a parameter: a saved block as the reference to it, any other without its secrets.

        Prefect's own form has the text `**********` for the headers, which no deployment takes for an object.
        """
        is_parameter = info.mode == "json" and not info.context
        if is_parameter and self._block_document_id is not None:
            return {"$ref": {"block_document_id": str(self._block_document_id)}}

        fields = super().ser_model(handler, info)
        hidden = {"headers": dict.fromkeys(self.headers.get_secret_value(), HIDDEN)} if is_parameter else {}
        return fields | hidden

    @field_validator("base_url")
    @classmethod
    def _is_web_address(cls, base_url: str) -> str:
        if not base_url.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://, for instance https://api.openai.com/v1")
        return endpoint_address(base_url)

    @field_validator("prices")
    @classmethod
    def _has_one_currency(cls, prices: dict[str, ModelPrice]) -> dict[str, ModelPrice]:
        if len(currencies := {price.currency for price in prices.values()}) > 1:
            raise ValueError(f"one provider bills in one currency, not in {' and '.join(sorted(currencies))}")
        return prices

    def get_provider(self) -> Provider:
        """The core's provider, key included: for use in this process, never to be stored or logged."""
        provider = Provider(
            base_url=self.base_url,
            api_key=self.api_key.get_secret_value() or None,
            headers=self.headers.get_secret_value(),
            model=self.model,
            prices={model: price.to_price() for model, price in self.prices.items()},
            shared_as=self._block_document_name if self.share_limits else None,
        )
        return with_settings(provider, self, type(self).model_fields.keys())

    def verify(self, model: str | None = None) -> Verified:
        """Check endpoint, key and model with one answer of one token.

        Raises the `RunError` whose sentence says what is wrong and what to do.
        """
        return verify(self.get_provider(), model)
