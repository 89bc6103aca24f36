"""A wire format on the side of the simulated provider: how requests are read and answers are written.

A format is one stateless object in a file of its own in this room, and one line in `formats.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import Protocol

from prefect_llm.simulation.answers import Delivery, Ending
from prefect_llm.simulation.asked import Asked
from prefect_llm.simulation.faults import Fault
from prefect_llm.simulation.http_requests import Head


class Problem(Enum):
    """Why a request is refused, in one word for all formats."""

    BAD_REQUEST = auto()
    BAD_REQUEST_ON_PURPOSE = auto()
    BAD_SCHEMA = auto()
    WRONG_KEY = auto()
    UNKNOWN_MODEL = auto()
    REQUESTS_PER_MINUTE = auto()
    TOKENS_PER_MINUTE = auto()
    SERVER_ERROR = auto()


class SimulatedFormat(Protocol):
    """One wire format, from the other side."""

    models_path: str
    """The path of the list of models."""

    def takes(self, path: str) -> bool:
        """Whether requests to that path are in this format."""

    def key(self, head: Head) -> str:
        """The key that came with a request; empty without one."""

    def read(self, head: Head, body: bytes) -> Asked:
        """What a request asks for. Raises `BadRequest`."""

    def body(self, number: int, asked: Asked, ending: Ending, fault: Fault | None) -> bytes:
        """The body of a 200; of the faults only `NO_CHOICES` and `NULL_CONTENT` affect it."""

    def events(self, number: int, asked: Asked, ending: Ending, fault: Fault | None) -> Iterator[bytes]:
        """The same as server-sent events: role and text, then the rest of the text, then the end."""

    def error(self, problem: Problem, message: str, parameter: str | None = None, headers: bytes = b"") -> Delivery:
        """A refusal; `parameter` is the member of the body that is to blame."""

    def models(self, names: Sequence[str]) -> bytes:
        """The body of the list of models."""
