"""The values that travel between the rooms: frozen, stdlib only, no behaviour beyond their own figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx

Message = Mapping[str, Any]
"""One chat message as the API spells it: `role`, and `content` as text or parts."""

MOST_TOKENS = 2**63 - 1
"""A greater count fits no column and no price: it is a fault of the endpoint's, and not known."""
MAX_MESSAGE_CHARACTERS = 500
"""A failure's message is one line of at most so many characters."""


TokenAccounting = Literal["reserved", "used"]
"""How a provider counts tokens: by what a request may use, with nothing given back, or by what it did use."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one provider is asked at most.

    `concurrency` is how many requests may be in flight; `None` finds the endpoint's own capacity, up to
    `max_concurrency`. `None` for a rate: no such limit is known. `tokens_per_minute` counts input and output
    together. `token_accounting` is the provider's rule; `reserved` is the safe one.
    """

    concurrency: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_concurrency: int = 1024
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    token_accounting: TokenAccounting = "reserved"

    @property
    def adaptive(self) -> bool:
        """Whether the concurrency is found while running."""
        return self.concurrency is None

    @property
    def counts_tokens(self) -> bool:
        """Whether any limit is one of tokens."""
        return bool(self.tokens_per_minute or self.input_tokens_per_minute or self.output_tokens_per_minute)

    @property
    def most_in_flight(self) -> int:
        """How many requests may ever be in flight."""
        return self.max_concurrency if self.concurrency is None else self.concurrency


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait and how often to ask: seconds and attempts.

    `timeout_s` bounds one attempt, `deadline_s` all attempts at a document together. With `idle_timeout_s` answers
    are streamed, and an attempt ends after so long a silence, not after `timeout_s`. `backoff_s` is the first wait
    after a failed attempt; it doubles, with jitter, up to `max_backoff_s`.
    """

    timeout_s: float = 120.0
    idle_timeout_s: float | None = None
    deadline_s: float | None = None
    connect_timeout_s: float = 10.0
    max_attempts: int = 5
    outage_s: float = 300.0
    first_connection_s: float = 30.0
    backoff_s: float = 0.5
    max_backoff_s: float = 60.0


@dataclass(frozen=True, slots=True)
class PriceTier:
    """Money per 1,000,000 tokens of a request with more than `above` input tokens: for all its tokens."""

    above: int
    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """Money per 1,000,000 tokens. Input read from a cache or written to one costs the input price where no other
    is known. `tiers` are in ascending order of `above`, and the last that a request is above is its price.
    `date` is the day from which the price is known, as 2026-01-31. `per_hour` is money for an hour of the endpoint's
    time, where the machines are one's own.
    """

    input: Decimal
    output: Decimal
    currency: str = "USD"
    cached_input: Decimal | None = None
    source: str = "stated"
    date: str | None = None
    cache_write: Decimal | None = None
    tiers: tuple[PriceTier, ...] = ()
    per_hour: Decimal | None = None

    @property
    def is_of_time(self) -> bool:
        """Whether only the endpoint's time is paid for, and tokens are free."""
        return self.per_hour is not None and not (self.input or self.output)


@dataclass(frozen=True, slots=True)
class Provider:
    """Endpoint, credentials, limits and prices. `base_url` includes `/v1`; secrets stay out of `repr`.

    `http_client` makes the httpx client to send with, where a proxy or client certificates ask for one.
    `fallbacks` are asked in their order, each for its own `model`, where this one cannot answer. `shared_as` is
    the name under which its limits are shared with other processes; `None`: they are this process's own.
    """

    base_url: str
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    model: str | None = None
    limits: Limits = Limits()
    patience: Patience = Patience()
    prices: Mapping[str, Price] = field(default_factory=dict)
    http_client: Callable[[], httpx.AsyncClient] | None = field(default=None, repr=False)
    fallbacks: tuple[Provider, ...] = ()
    shared_as: str | None = None

    @property
    def name(self) -> str:
        """The host of the base URL, without port: the column `provider`."""
        return urlsplit(self.base_url).hostname or self.base_url


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """A JSON schema the answer must satisfy. `parse(text)` returns the value or raises `BadResponse`."""

    schema: Mapping[str, Any]
    parse: Callable[[str], Any] = field(compare=False, repr=False)
    name: str = "answer"


@dataclass(frozen=True, slots=True, eq=False)
class Parameters:
    """What shapes an answer besides its messages. One instance serves many requests: identity is its key.

    `fail_truncated` makes an answer that the output limit cut a failure; with an answer format it always is.
    """

    model: str
    max_output_tokens: int | None = None
    temperature: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    answer_format: AnswerFormat | None = None
    fail_truncated: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One rendered chat completion. `row` is the document's place in its chunk, `document_id` its id."""

    row: int
    document_id: str
    messages: Sequence[Message]
    parameters: Parameters
    fingerprint: str
    operation: Literal["chat"] = "chat"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the endpoint counted them: those read from a cache (`cached_input_tokens`) or written to one are
    inside input, reasoning ones inside output.
    """

    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What the endpoint answered. `output` is the parsed value when a schema was asked for."""

    content: str | None
    finish_reason: str | None = None
    model: str | None = None
    usage: Usage | None = None
    output: Any = None
    raw: bytes | None = None


class ErrorKind(StrEnum):
    """The words of the column `error_kind`."""

    BAD_DOCUMENT = "bad_document"
    REJECTED = "rejected"
    CONTEXT_TOO_LONG = "context_too_long"
    CONTENT_FILTERED = "content_filtered"
    REFUSED = "refused"
    BAD_RESPONSE = "bad_response"
    SCHEMA_MISMATCH = "schema_mismatch"
    TRUNCATED = "truncated"
    THROTTLED = "throttled"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    SERVER_ERROR = "server_error"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a document has no answer; `message` is one line of at most 500 characters."""

    kind: ErrorKind
    message: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class DiscardedAnswer:
    """An answer that was billed and could not be used: `route` and `model` say whose price it has."""

    usage: Usage
    model: str
    route: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request ended as.

    A failure may carry the completion that was thrown away with it (a refusal's text, a cut answer).
    `latency_ms` is the last attempt's, `queued_ms` the time spent waiting for limits, cooldowns and backoff;
    the two instants are microseconds since 1970 UTC. `discarded` holds the billed attempts before the last,
    `throttled` is how many answers were 429. `route` is who was asked last: 0 for the provider, 1 for its first
    fallback, and so on; attempts are counted over all of them. `lost` attempts brought no answer and may have been
    billed: a timeout, a cut connection, an answer that is none. `endpoint_s` are seconds of the endpoint's time over
    all attempts, of which each request in flight bears an equal part.
    """

    completion: Completion | None = None
    failure: Failure | None = None
    attempts: int = 0
    throttled: int = 0
    latency_ms: float | None = None
    queued_ms: float | None = None
    started_at_us: int | None = None
    finished_at_us: int | None = None
    discarded: tuple[DiscardedAnswer, ...] = ()
    route: int = 0
    lost: int = 0
    endpoint_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the document has its answer."""
        return self.failure is None
