"""What makes the bodies of all requests to one provider, and may learn how that provider wants them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from prefect_llm.values.errors import RequestError
from prefect_llm.values.request import Request


class Encoder(Protocol):
    """The bodies of one provider's requests. Used by one engine, on its thread."""

    def __call__(self, request: Request) -> bytes:
        """The request's body, as the provider takes it so far as is known."""

    def learns_from(self, request: Request, error: RequestError) -> bool:
        """Take in a refusal; whether the request's body may now be another one, to be sent at once."""

    def answered(self, request: Request) -> None:
        """The provider has answered the request's body as it is now made."""


class FixedEncoder:
    """An encoder that has nothing to learn."""

    def __init__(self, encode: Callable[[Request], bytes]) -> None:
        self._encode = encode

    def __call__(self, request: Request) -> bytes:
        """The request's body."""
        return self._encode(request)

    def learns_from(self, request: Request, error: RequestError) -> bool:
        """Nothing."""
        return False

    def answered(self, request: Request) -> None:
        """Nothing follows from it."""
