"""The parameters that every request of a run carries, and how to leave one out that an endpoint refuses."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from prefect_llm.values.request import Request

OUTPUT_LIMITS = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"})
STREAMING = frozenset({"stream", "stream_options"})
ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "temperature": "leave temperature out",
        "max_tokens": "leave max_output_tokens out, or send it as max_completion_tokens in param",
        "max_completion_tokens": "leave max_output_tokens out",
        "max_output_tokens": "leave max_output_tokens out",
        "stream": "leave idle_timeout out",
        "stream_options": "leave idle_timeout out",
    }
)


def shared_parameters(request: Request) -> frozenset[str]:
    """Their names on the wire: all that the request carries but its messages."""
    parameters = request.parameters
    names = {"model", *parameters.extra, *STREAMING}
    if parameters.temperature is not None:
        names.add("temperature")
    if parameters.max_output_tokens is not None:
        names |= OUTPUT_LIMITS
    return frozenset(names)


def advice_on(parameter: str | None) -> str:
    """What to do about the refused one; `None` where the endpoint does not say which it is."""
    if parameter is None:
        return "leave out what this model does not take"
    return ADVICE.get(parameter, f"leave {parameter} out of param")
