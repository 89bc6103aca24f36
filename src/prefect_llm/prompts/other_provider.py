"""The same request to another provider: what a fallback is asked."""

from __future__ import annotations

from dataclasses import replace

from prefect_llm.prompts.fingerprint import fingerprint
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Parameters, Request


def for_provider(request: Request, provider: Provider) -> Request:
    """The request as that provider is asked: for its own model, where it names one.

    The fingerprint is that of the model and of the provider's wire format.
    """
    parameters = request.parameters
    if provider.model is not None and provider.model != parameters.model:
        parameters = parameters.derived(_with_model, provider.model)  # one instance for all requests that share it
    named = fingerprint(parameters, request.messages, provider.api)
    return replace(request, parameters=parameters, fingerprint=named)


def _with_model(parameters: Parameters, model: str) -> Parameters:
    return replace(parameters, model=model)
