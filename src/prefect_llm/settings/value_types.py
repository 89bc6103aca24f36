"""The kinds of values that options take: their bounds, what they are made from, and how they are spoken of."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from prefect_llm.prompts.parameters import MAX_TEMPERATURE
from prefect_llm.settings.messages import Wording
from prefect_llm.values.provider import TokenAccounting

MAX_CONCURRENCY = 4096

NO_SECRET = "an API key is not a parameter: name the variable that holds it with api_key_env, or save it in a block"

CREDENTIALS_IN_ADDRESS = (
    "a base URL with a user or password in it would be written down: leave them out, and name the variable that "
    "holds the key with api_key_env, or save it in a block"
)

NOTHING_AFTER_THE_PATH = (
    "a base URL ends with its path, as https://host/v1: leave out what comes from ? or # on (keys and parameters go "
    "into headers of a block)"
)


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
    """The address without a slash at its end. `ValueError` for a user, a password, or anything after the path."""
    parts = urlsplit(address)
    if "@" in parts.netloc:
        raise ValueError(CREDENTIALS_IN_ADDRESS)
    if parts.query or parts.fragment:
        raise ValueError(NOTHING_AFTER_THE_PATH)
    return address.rstrip("/")


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
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper), Wording("LEVEL")]
