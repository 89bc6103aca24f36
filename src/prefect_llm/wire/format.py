"""A wire format: everything that the engine needs to know to ask one kind of API.

A format is one stateless object in a file of its own in this room, and one line in `formats.py`. Only this room knows
how a provider spells things: it gives out URLs, headers and bytes, and gives back a `Completion` or an error of
`values.errors`.
"""

from __future__ import annotations

from typing import Protocol

from prefect_llm.values.outcome import Completion
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request
from prefect_llm.wire.encoders import Encoder
from prefect_llm.wire.http import Answer
from prefect_llm.wire.rate_headers import RateHeaders


class WireFormat(Protocol):
    """How to ask one kind of API, and what its answers mean. All providers of that kind share one instance."""

    operation: str
    """`gen_ai.operation.name` of OpenTelemetry's conventions: chat, embeddings, generate_content."""
    service: str
    """What an address without this API lacks, in a message to a person: "chat completions"."""
    base_path: str
    """How most base URLs end, such as `/v1`; if it is missing, a user may have forgotten it."""
    answer_format_parameter: str
    """The member of the body that carries the answer's JSON schema."""
    rate_headers: RateHeaders
    """The headers that report the account's rate limits."""

    def url(self, provider: Provider, request: Request) -> str:
        """The URL of the request. It may depend on the model, and on whether answers are streamed."""

    def headers(self, provider: Provider) -> dict[str, str]:
        """Authentication, if there is a key, and the API's version; names in lower case."""

    def encoder(self, provider: Provider) -> Encoder:
        """What makes the bodies of all requests to that provider; called once per engine.

        Answers are streamed if the provider has an idle timeout.
        """

    def decode(self, answer: Answer, request: Request, *, keep_raw: bool) -> Completion:
        """The completion in an answer of any status.

        Raises the `RequestError` that the status or the body stands for. It carries the completion, if one came and
        was billed, and a `cause`, if the fault lies with the provider rather than the request.
        """

    def probe(self, model: str) -> Request:
        """The cheapest request that proves endpoint, key and model."""

    def models_url(self, base_url: str) -> str:
        """Where the endpoint lists its models."""

    def model_names(self, body: bytes) -> list[str] | None:
        """The models in such a list; `None` if the body is not one."""
