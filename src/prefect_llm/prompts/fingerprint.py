"""The identity of a request: two with the same fingerprint would get the same answer, and one is paid once.

The format is fixed, for it decides what a resumed or later run recognises. It is the hexadecimal BLAKE2b
digest of 16 bytes over HEAD, one newline, MESSAGES, both compact UTF-8 JSON as orjson writes it:

- HEAD: one object with the members `extra`, `max_output_tokens`, `model`, `operation`, `schema`,
  `temperature` in this order; those that are not set (and an empty `extra`) are left out. `operation` is the
  name of the wire format, but for the default one, which is older than the names. `extra` is sorted by name.
  What lies inside its values and inside `schema` keeps its own order, which constrained decoding
  follows: there another order can be another answer.
- MESSAGES: the list of messages, every object's members sorted by name.

Keys, hosts, limits, prices and the name of the answer format are not in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import orjson

from prefect_llm.values.errors import BadDocument
from prefect_llm.values.formatting import one_line
from prefect_llm.values.provider import DEFAULT_API
from prefect_llm.values.request import Message, Parameters

DIGEST_BYTES = 16
"""128 bits: that any two of a billion requests share one has a chance below 10^-20."""
_OLDER_THAN_NAMES = {DEFAULT_API: "chat"}
"""Words that stand in the digests of finished runs."""


def fingerprint(parameters: Parameters, messages: Sequence[Message], api: str = DEFAULT_API) -> str:
    """32 hexadecimal digits; `api` is the name of the wire format, of which answers are not those of another.

    Raises `BadDocument` where the messages cannot be sent as JSON.
    """
    try:
        text = orjson.dumps(messages, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise BadDocument(one_line(f"the messages cannot be sent as JSON: {error}")) from error
    digest = parameters.derived(_head, api).copy()
    digest.update(text)
    return digest.hexdigest()


def _head(parameters: Parameters, api: str) -> hashlib.blake2b:
    """The state of the hash after HEAD."""
    members = {
        "extra": dict(sorted(parameters.extra.items())) or None,
        "max_output_tokens": parameters.max_output_tokens,
        "model": parameters.model,
        "operation": _OLDER_THAN_NAMES.get(api, api),
        "schema": parameters.schema,
        "temperature": None if parameters.temperature is None else float(parameters.temperature),
    }
    head = orjson.dumps({name: value for name, value in members.items() if value is not None})
    return hashlib.blake2b(head + b"\n", digest_size=DIGEST_BYTES)
