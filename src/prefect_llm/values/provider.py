"""Who is asked: endpoint, credentials, limits and prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from prefect_llm.values.price import Price

if TYPE_CHECKING:
    import httpx

DEFAULT_API = "openai-chat"
"""The wire format of providers that name none."""

TokenAccounting = Literal["reserved", "used"]
"""How a provider counts tokens: by what a request may use, with nothing given back, or by what it did use."""

OutputLimitName = Literal["max_tokens", "max_completion_tokens"]
"""How a provider's requests call the output limit, where it is one of OpenAI's format."""


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
class Timeouts:
    """How long an answer may take, in seconds.

    `attempt_s` bounds one attempt, `connect_s` its connection, `deadline_s` all attempts at a document together.
    With `idle_s` answers are streamed, and an attempt ends after that much silence in place of `attempt_s`.
    """

    attempt_s: float = 120.0
    idle_s: float | None = None
    deadline_s: float | None = None
    connect_s: float = 10.0

    @property
    def longest_silence_s(self) -> float:
        """Seconds without a byte after which an attempt has failed."""
        return self.attempt_s if self.idle_s is None else self.idle_s


@dataclass(frozen=True, slots=True)
class RetryOptions:
    """How often a document is sent, how long to wait between attempts, and when to stop the run.

    `backoff_s` is the wait after the first failed attempt; it doubles, with jitter, up to `max_backoff_s`. The run
    stops after `outage_s` without a success, or `first_connection_s` where the provider was never reached.
    """

    max_attempts: int = 5
    backoff_s: float = 0.5
    max_backoff_s: float = 60.0
    outage_s: float = 300.0
    first_connection_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Provider:
    """Endpoint, credentials, limits and prices. `base_url` includes `/v1`; secrets stay out of `repr`.

    `api` is the name of the wire format that the endpoint speaks (`wire.formats`).
    `http_client` makes the httpx client to send with, where a proxy or client certificates ask for one.
    `fallbacks` are asked in their order, each for its own `model`, where this one cannot answer. `shared_as` is
    the name under which its limits are shared with other processes; `None`: they are this process's own.
    `output_limit_name` is what it calls the output limit; `None` finds it out.
    """

    base_url: str
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    model: str | None = None
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    retries: RetryOptions = RetryOptions()
    prices: Mapping[str, Price] = field(default_factory=dict)
    http_client: Callable[[], httpx.AsyncClient] | None = field(default=None, repr=False)
    fallbacks: tuple[Provider, ...] = ()
    shared_as: str | None = None
    api: str = DEFAULT_API
    output_limit_name: OutputLimitName | None = None

    @property
    def routes(self) -> tuple[Provider, ...]:
        """All that may be asked: the provider, then its fallbacks in order. An outcome's `route` indexes it."""
        return (self, *self.fallbacks)

    @property
    def name(self) -> str:
        """The host of the base URL, without port: the column `provider`."""
        return urlsplit(self.base_url).hostname or self.base_url
