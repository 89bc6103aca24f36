"""What a wire format is: everything that the engine needs to know to ask one kind of API.

A format is one stateless object in a file of its own here, and one line in `formats.py`. Only this room knows a
provider's spelling: what leaves it is a URL, headers and bytes; what comes back is a `Completion` or an error of
`values.errors`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from prefect_llm.values.outcome import Completion
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request
from prefect_llm.wire.http import Answer
from prefect_llm.wire.rate_headers import RateHeaders


class WireFormat(Protocol):
    """How one kind of API is asked, and what its answers mean. Every provider of that kind shares the instance."""

    operation: str
    """`gen_ai.operation.name` of OpenTelemetry's conventions: chat, embeddings, generate_content."""
    service: str
    """What an address lacks that does not speak it, in a sentence to a person: "chat completions"."""
    base_path: str
    """How the base URLs of most endpoints end, as `/v1`; a base URL without it may have lost it."""
    answer_format_parameter: str
    """The member of the body that carries the answer's JSON schema."""
    rate_headers: RateHeaders
    """How answers tell the state of the account's rates."""

    def url(self, provider: Provider, request: Request) -> str:
        """Where the request goes. It may depend on the model, and on whether answers are streamed."""

    def headers(self, provider: Provider) -> dict[str, str]:
        """Authentication, absent without a key, and the API's version; names in lower case."""

    def encoder(self, provider: Provider) -> Callable[[Request], bytes]:
        """Makes the bodies of every request to that provider; called once per engine, what it returns per request.

        Answers are streamed where the provider has an idle timeout.
        """

    def decode(self, answer: Answer, request: Request, *, keep_raw: bool) -> Completion:
        """The completion in an answer of any status.

        Raises the `RequestError` that the status or the body stands for. One that comes with a completion carries
        it, for it was billed; one that says more of the provider than of the request carries its `cause`.
        """

    def probe(self, model: str) -> Request:
        """The cheapest request that proves endpoint, key and model."""

    def models_url(self, base_url: str) -> str:
        """Where the endpoint lists its models; `base_url` has no slash at its end."""

    def model_names(self, body: bytes) -> list[str] | None:
        """The models in such a list; `None` where it is none."""
