"""The kinds of values that options take: their bounds, what they are made from, and how they are spoken of."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from prefect_llm.prompts.parameters import MAX_TEMPERATURE
from prefect_llm.settings.messages import Wording
from prefect_llm.values.provider import OutputLimitName, TokenAccounting

MAX_CONCURRENCY = 4096

NO_SECRET = "an API key is not a parameter: name the variable that holds it with api_key_env, or save it in a block"

CREDENTIALS_IN_ADDRESS = (
    "a base URL with a user or password in it would be written down: leave them out, and name the variable that "
    "holds the key with api_key_env, or save it in a block"
)

NO_SECRET_AFTER_THE_PATH = (
    "a base URL ends with its path, as https://host/v1, or with a parameter as ?api-version=2024-10-21: leave out "
    "what comes from # on, and what may be a secret, which goes into a header (by an option, or in a block)"
)
LONGEST_PARAMETER = 24
"""Characters; a longer value in an address, which is written down, may be a secret."""
_SECRET_WORDS = re.compile("key|token|secret|sig|pass|auth|cred|code|session", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
"""A token of RFC 9110, in lower case."""
_VARIABLE_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_TRANSPORTS_OWN = frozenset({"host", "connection", "content-length", "content-type", "transfer-encoding"})


def is_api_key(name: str) -> bool:
    """Whether a value under this name would be a secret."""
    return name.lower().replace("-", "").replace("_", "").endswith("apikey")


def _entries(value: Any) -> Any:
    return [each.strip() for each in value.split(",")] if isinstance(value, str) else value


def _names(value: Any) -> Any:
    return value if value in ("all", "none") else _entries(value)


def _without_secrets(param: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if any(is_api_key(name) for name in param):
        raise ValueError(NO_SECRET)
    return param


def endpoint_address(address: str) -> str:
    """The address without a slash at its end; parameters that are no secrets are kept.

    `ValueError` for a user, a password, a fragment, and a parameter that may be a secret.
    """
    parts = urlsplit(address)
    if "@" in parts.netloc:
        raise ValueError(CREDENTIALS_IN_ADDRESS)
    given = parse_qsl(parts.query, keep_blank_values=True)
    if "#" in address or any(_may_be_secret(name, value) for name, value in given):
        raise ValueError(NO_SECRET_AFTER_THE_PATH)
    bare, _, parameters = address.partition("?")
    return bare.rstrip("/") + (f"?{parameters}" if parameters else "")


def _may_be_secret(name: str, value: str) -> bool:
    return bool(_SECRET_WORDS.search(name)) or not value or len(value) > LONGEST_PARAMETER


def _header_variables(given: dict[str, str]) -> dict[str, str]:
    """Names in lower case. Errors repeat no variable's name: a secret may stand in its place."""
    headers = {name.strip().lower(): variable for name, variable in given.items()}
    for name, variable in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be a header's name")
        if name in _TRANSPORTS_OWN:
            raise ValueError(f"the header {name} is the connection's own")
        if not _VARIABLE_NAME.fullmatch(variable):
            raise ValueError(f"expected the name of an environment variable for {name}, not the value itself")
    return headers


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


Column = Annotated[str, Field(min_length=1), Wording("COLUMN", "the name of a column")]
File = Annotated[str, Field(min_length=1), Wording("FILE", "the path of a file")]
Template = Annotated[str, Field(min_length=1), Wording("TEMPLATE", "a template")]
Count = Annotated[int, Field(ge=1), Wording("N")]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False), Wording("S")]
ModelName = Annotated[str, Field(min_length=1), Wording("M", "the name of a model")]
Temperature = Annotated[float, Field(ge=0, le=MAX_TEMPERATURE), Wording("X")]
Share = Annotated[float, Field(ge=0, le=1), Wording("X")]
Amount = Annotated[Decimal, Field(ge=0), Wording("X", "an amount of 0 or more")]
Directory = Annotated[str, Field(min_length=1), Wording("DIR", "a directory")]
Input = Annotated[str, Field(min_length=1), Wording("INPUT", "a path or URL")]
SchemaFile = Annotated[str, Field(min_length=1), Wording("FILE.json", "the path of a file")]
Keep = Annotated[
    Annotated[Literal["all", "none"], Field(title="All or none")]
    | Annotated[tuple[Column, ...], Field(title="These", min_length=1)],
    BeforeValidator(_names),
    Wording("COL,COL|all|none", "all, none or names of columns with commas between them"),
]
Address = Annotated[
    str,
    Field(pattern=r"^https?://\S+$"),
    AfterValidator(endpoint_address),
    Wording("URL", "an address that starts with http:// or https://", quoted=False),
]
Variable = Annotated[
    str,
    Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"),
    Wording("NAME", "the name of an environment variable, not the key itself", quoted=False),
]
Parameters = Annotated[
    dict[str, JsonValue],
    AfterValidator(_without_secrets),
    Wording("NAME=JSON", 'parameters by name, for instance {"top_p": 0.9}'),
]
HeaderVariables = Annotated[
    dict[str, str],
    AfterValidator(_header_variables),
    Wording(
        "NAME=VARIABLE",
        'headers by name, each with the environment variable that holds its value, as {"x-tenant": "TENANT"}',
        quoted=False,
    ),
]
OutputLimit = Annotated[Literal["auto"] | OutputLimitName, Wording("auto|NAME")]
Fallback = Annotated[str, Field(pattern=r"^([^/\s]+|[^/\s]*/\S+)$")]
Fallbacks = Annotated[
    tuple[Fallback, ...],
    BeforeValidator(_entries),
    Wording(
        "BLOCK/MODEL,...",
        "blocks, each with a model behind a slash or alone, with commas between them; /MODEL for another model of "
        "the same provider",
    ),
]
ConcurrencyCeiling = Annotated[int, Field(ge=1, le=MAX_CONCURRENCY), Wording("N")]
Concurrency = Annotated[
    Annotated[Literal["auto"], Field(title="auto")]
    | Annotated[int, Field(title="A number", ge=1, le=MAX_CONCURRENCY)],
    Wording("auto|N", f"auto or a whole number from 1 to {MAX_CONCURRENCY}"),
]
TokenAccountingRule = Annotated[TokenAccounting, Wording("reserved|used")]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$"), Wording("CODE", "three capital letters, for instance USD")]
OnBadRows = Annotated[Literal["fail", "row"], Wording("fail|row")]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper), Wording("LEVEL")]
