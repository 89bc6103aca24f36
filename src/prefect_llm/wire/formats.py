"""The wire formats by name. A new format is registered here."""

from __future__ import annotations

from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.provider import Provider
from prefect_llm.wire.format import WireFormat
from prefect_llm.wire.openai_chat import OpenAIChat

FORMATS: dict[str, WireFormat] = {
    "openai-chat": OpenAIChat(),
}


def format_of(provider: Provider) -> WireFormat:
    """The format that the provider speaks. Raises `InvalidInput` for a name that is not registered."""
    if (found := FORMATS.get(provider.api)) is None:
        raise InvalidInput(f"no wire format is called {provider.api!r}: write one of {', '.join(sorted(FORMATS))}")
    return found
