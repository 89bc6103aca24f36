"""Requests become jobs: their bodies are made, and the tokens that they may use are guessed from them."""

from __future__ import annotations

from collections.abc import Callable

from prefect_llm.engine.limits.token_sizes import TokenSizes
from prefect_llm.engine.submission import Job, Submission
from prefect_llm.values.outcome import Usage
from prefect_llm.values.provider import Limits
from prefect_llm.values.request import Request


class JobMaker:
    """One provider's. `encode` makes a request's body."""

    def __init__(self, limits: Limits, encode: Callable[[Request], bytes]) -> None:
        self._encode = encode
        self._token_sizes = TokenSizes(limits.token_accounting)

    def make(self, request: Request, submission: Submission, now: float) -> Job:
        """The job of a request, queued from now on. Raises what `encode` does."""
        body, parameters = self._encode(request), request.parameters
        tokens = self._token_sizes.tokens(parameters.model, len(body), parameters.max_output_tokens)
        return Job(request, submission, body, tokens, queued_since=now)

    def learn(self, job: Job, used: Usage) -> None:
        """Correct the model's token sizes by what an answer really used."""
        self._token_sizes.learn(job.request.parameters.model, len(job.body), used)
