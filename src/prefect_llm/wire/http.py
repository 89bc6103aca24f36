"""An HTTP answer as the wire formats read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Headers(Protocol):
    """A header map: look-up ignores case."""

    def get(self, name: str, /) -> str | None:
        """The first value of the header."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, its body read to the end. `proxy` carried it as it is, and may have given it itself."""

    status: int
    headers: Headers
    body: bytes
    proxy: str | None = None
