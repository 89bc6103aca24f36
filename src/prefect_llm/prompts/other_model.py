"""The same request to another model: what a fallback is asked."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from prefect_llm.prompts.fingerprint import fingerprint
from prefect_llm.values.request import Parameters, Request


def with_model(request: Request, model: str) -> Request:
    """The request for `model`, with the fingerprint that goes with it."""
    if model == request.parameters.model:
        return request
    parameters = _with_model(request.parameters, model)
    return replace(request, parameters=parameters, fingerprint=fingerprint(parameters, request.messages))


@lru_cache(maxsize=1024)
def _with_model(parameters: Parameters, model: str) -> Parameters:
    """One instance for all requests that share it: the wire encodes and the fingerprint hashes it only once."""
    return replace(parameters, model=model)
