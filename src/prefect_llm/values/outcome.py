"""What came of a request: a completion with its usage, or a failure with its kind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

ONLINE = "online"
"""The lane that asks one request at a time."""
MOST_TOKENS = 2**63 - 1
"""A greater count fits no column and no price: it is a fault of the endpoint's, and not known."""
MAX_MESSAGE_CHARACTERS = 500
"""A failure's message is one line of at most so many characters."""


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
class Service:
    """What an answer is billed by besides its tokens, as far as the endpoint tells: the service tier that served it,
    the web searches that it took, and whether some of its tokens have rates of their own (audio, long cache writes).
    """

    tier: str | None = None
    searches: int | None = None
    has_other_rates: bool = False


UNTOLD = Service()


@dataclass(frozen=True, slots=True)
class Completion:
    """What the endpoint answered. `output` is the parsed value when a schema was asked for, `reasoning` what the
    model thought, where that is kept. `service` is what served it.
    """

    content: str | None
    finish_reason: str | None = None
    model: str | None = None
    usage: Usage | None = None
    output: Any = None
    raw: bytes | None = None
    reasoning: str | None = None
    service: Service = UNTOLD


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
    """An answer that was billed and could not be used: `route`, `model` and `service` say which price it has."""

    usage: Usage
    model: str
    route: int = 0
    answered: str | None = None
    service: Service = UNTOLD


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request ended as.

    A failure may carry the completion that was discarded with it (a refusal's text, a cut answer).
    `latency_ms` is the last attempt's, `queued_ms` the time spent waiting for limits, cooldowns and backoff;
    the two instants are microseconds since 1970 UTC. `discarded` holds the billed attempts before the last,
    `throttled` is how many answers were 429. `route` is who was asked last: 0 for the provider, 1 for its first
    fallback, and so on; attempts are counted over all of them. `lost` attempts brought no answer and may have been
    billed: a timeout, a cut connection, an answer that is none. `endpoint_s` are seconds of the endpoint's time over
    all attempts, of which each request in flight bears an equal part. `lane` is how the request travelled.
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
    lane: str = ONLINE

    @property
    def ok(self) -> bool:
        """Whether the document has its answer."""
        return self.failure is None
