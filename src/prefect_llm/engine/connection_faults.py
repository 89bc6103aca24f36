"""Why an attempt brought no answer, in the same words from both transports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import urlsplit

from prefect_llm.engine.proxies import Proxy
from prefect_llm.values.errors import BadResponse, NoConnection, Unavailable
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.provider import Timeouts
from prefect_llm.wire.http import Answer

MAX_ANSWER_BYTES = 64 * 1024 * 1024
CONNECT_SHARE = 0.9
"""Of an attempt's time: where both end at once, pyreqwest tells of the time and not of the missing connection."""
PROXY_UNAUTHORIZED = 407


class Obstacle(Enum):
    """What kept a connection from coming about."""

    REFUSED = auto()
    UNKNOWN_HOST = auto()
    UNKNOWN_AUTHORITY = auto()
    BAD_CERTIFICATE = auto()
    NO_TLS = auto()
    PROXY_UNAUTHORIZED = auto()
    PROXY_REFUSED = auto()
    OTHER = auto()


LASTING = frozenset({Obstacle.UNKNOWN_AUTHORITY, Obstacle.BAD_CERTIFICATE, Obstacle.PROXY_UNAUTHORIZED})
"""No wait mends these, only another setting."""
BEYOND_THE_PROXY = frozenset({Obstacle.UNKNOWN_AUTHORITY, Obstacle.BAD_CERTIFICATE, Obstacle.NO_TLS})
"""Met at the endpoint, whoever carried the bytes there."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where connections to a provider go: the endpoint's host and port, and the proxy before it."""

    host: str
    place: str
    proxy: Proxy | None = None
    is_secure: bool = True

    @classmethod
    def to(cls, base_url: str, proxy: Proxy | None = None) -> Door:
        """The door to the endpoint at that URL."""
        parts = urlsplit(base_url)
        host = parts.hostname or base_url
        is_secure = parts.scheme == "https"
        return cls(host, f"{host}:{parts.port or (443 if is_secure else 80)}", proxy, is_secure)

    @property
    def speaking_proxy(self) -> str | None:
        """The proxy, if it reads what it carries and may answer itself."""
        if self.proxy is None or self.is_secure or not self.proxy.url.startswith("http"):
            return None
        return f"{self.proxy.place} of {self.proxy.variable}"


def no_connection(door: Door, obstacle: Obstacle, detail: str) -> NoConnection:
    """The error for a connection that did not come about; `detail` is the transport's word for it."""
    return NoConnection(_sentence(door, obstacle, detail), lasting=obstacle in LASTING)


def _sentence(door: Door, obstacle: Obstacle, detail: str) -> str:
    place, proxy = door.place, door.proxy
    if obstacle is Obstacle.UNKNOWN_AUTHORITY:
        return (
            f"{place} shows a certificate that is not trusted ({detail}): set SSL_CERT_FILE to a file with the "
            "certificate of its authority"
        )
    if obstacle is Obstacle.BAD_CERTIFICATE:
        return f"{place} shows a certificate that is not valid ({detail}): it must be renewed, or base_url is wrong"
    if obstacle is Obstacle.NO_TLS:
        return f"{place} does not speak TLS ({detail}): is it http:// rather than https://?"
    if obstacle in (Obstacle.PROXY_UNAUTHORIZED, Obstacle.PROXY_REFUSED):
        return _refused_by(proxy, place, obstacle, detail)
    if proxy is not None:
        return (
            f"the proxy {proxy.place} cannot be reached ({detail}): correct {proxy.variable}, or name {door.host} in "
            "NO_PROXY"
        )
    if obstacle is Obstacle.REFUSED:
        return f"connection refused: nothing listens at {place}; is the server running, the port right?"
    if obstacle is Obstacle.UNKNOWN_HOST:
        return f"the host {door.host} is not known: check the spelling of base_url, and the network"
    return f"no answer from {place} ({detail}): check base_url and the network"


def _refused_by(proxy: Proxy | None, place: str, obstacle: Obstacle, detail: str) -> str:
    named = "the proxy" if proxy is None else f"the proxy {proxy.place}"
    variable = "its address" if proxy is None else proxy.variable
    if obstacle is Obstacle.PROXY_UNAUTHORIZED:
        return (
            f"{named} wants a user and a password ({detail}): put them into {variable}, as http://user:password@host"
        )
    return f"{named} does not connect to {place} ({detail}): allow it there, or name the host in NO_PROXY"


def connection_lost(why: str) -> Unavailable:
    """The error for a connection that broke off."""
    return Unavailable(f"connection lost: {why}", kind=ErrorKind.CONNECTION)


def timed_out(timeouts: Timeouts, bound_s: float | None) -> Unavailable:
    """The error for an attempt that took too long: `bound_s`, or `None` where it was the provider's own bound."""
    if bound_s is None and timeouts.idle_s is not None:
        return Unavailable(f"nothing came for {timeouts.idle_s:g} s", kind=ErrorKind.TIMEOUT)
    within_s = timeouts.attempt_s if bound_s is None else bound_s
    return Unavailable(f"no complete answer within {round(within_s, 3):g} s", kind=ErrorKind.TIMEOUT)


def sized(answer: Answer) -> Answer:
    """The answer. Raises `BadResponse` for one that is too large."""
    if len(answer.body) > MAX_ANSWER_BYTES:
        raise BadResponse(f"answer larger than {MAX_ANSWER_BYTES:,} bytes", status=answer.status)
    return answer


def longest_silence_s(timeouts: Timeouts) -> float:
    """Seconds without a byte after which an attempt has failed."""
    return timeouts.attempt_s if timeouts.idle_s is None else timeouts.idle_s


def connect_timeout_s(timeouts: Timeouts) -> float:
    """How long a connection may take to come about."""
    return min(timeouts.connect_s, CONNECT_SHARE * longest_silence_s(timeouts))


def tighter(timeouts: Timeouts, timeout_s: float | None) -> float | None:
    """The bound on one attempt where it is tighter than the provider's; streamed answers have no other."""
    if timeout_s is None or (timeouts.idle_s is None and timeout_s >= timeouts.attempt_s):
        return None
    return timeout_s
