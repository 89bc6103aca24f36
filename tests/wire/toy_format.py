"""A wire format of no API there is: what one has to say of itself, and no line more."""

from __future__ import annotations

from typing import Any

import orjson

from prefect_llm.values.errors import BadResponse, Cause
from prefect_llm.values.outcome import Completion, ErrorKind, Usage
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Parameters, Request
from prefect_llm.wire.completions import Stop, checked
from prefect_llm.wire.encoders import Encoder, FixedEncoder
from prefect_llm.wire.error_bodies import Complaint, ErrorWords, raise_refusal
from prefect_llm.wire.http import Answer
from prefect_llm.wire.rate_headers import RateHeaders

WORDS = ErrorWords(kinds={"TALE_TOO_LONG": ErrorKind.CONTEXT_TOO_LONG}, causes={"STRANGER": Cause.KEY_REFUSED})


class Oracle:
    """`POST {base_url}/oracles/{model}`: a question, and what it may cost in words."""

    operation, service, base_path = "divination", "oracles", "/delphi"
    answer_format_parameter = "riddle"
    rate_headers = RateHeaders(("oracle-{}", "oracle-{}-left", "oracle-{}-back"))

    def url(self, provider: Provider, request: Request) -> str:
        return f"{provider.base_url}/oracles/{request.parameters.model}"

    def headers(self, provider: Provider) -> dict[str, str]:
        return {"x-oracle-key": provider.api_key or "", "x-oracle-age": "bronze"}

    def encoder(self, provider: Provider) -> Encoder:
        def encode(request: Request) -> bytes:
            question = "\n".join(message["content"] for message in request.messages)
            return orjson.dumps({"question": question, "words": request.parameters.max_output_tokens})

        return FixedEncoder(encode)

    def decode(self, answer: Answer, request: Request, *, keep_raw: bool) -> Completion:
        told: dict[str, Any] = orjson.loads(answer.body)
        if answer.status != 200:
            raise_refusal(answer, WORDS, Complaint(told["lament"], frozenset({told["omen"]})))
        if "says" not in told:
            raise BadResponse("the oracle is silent", status=200)
        usage = Usage(told["heard"], output_tokens=told["spoken"])
        completion = Completion(told["says"], told["end"], "pythia-1", usage, raw=answer.body if keep_raw else None)
        return checked(completion, request, Stop.CUT if told["end"] == "noon" else Stop.END)

    def probe(self, model: str) -> Request:
        return Request(0, "verify", ({"content": "Well?"},), Parameters(model, max_output_tokens=1), fingerprint="")

    def models_url(self, base_url: str) -> str:
        return f"{base_url}/oracles"

    def model_names(self, body: bytes) -> list[str] | None:
        return list(orjson.loads(body)["oracles"])
