"""Checks across sections: options that are missing, exclude each other, or need each other."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_llm.settings.api_options import ApiSection
from prefect_llm.settings.options import options
from prefect_llm.settings.sections import RunSettings
from prefect_llm.values.errors import InvalidInput


def check(settings: RunSettings) -> None:
    """Raises `InvalidInput` where the settings make no run, with a sentence on a line of its own for each reason.

    Without a prompt the documents must have a column `messages`; whether they do is seen when they are staged.
    """
    api = settings.api
    problems = [
        *_input(settings),
        *_endpoint(api),
        *_model(api),
        *_prompt(settings),
        *_prices(api),
        *_budget(settings),
    ]
    if settings.output.output is None:
        problems.append(_missing("output"))

    if problems:
        raise InvalidInput("\n".join(problems))


def check_estimate(settings: RunSettings, *, sampled: bool) -> None:
    """The same for an estimate, which writes nothing but a sample."""
    problems = [
        *_input(settings),
        *_endpoint(settings.api),
        *_model(settings.api),
        *_prompt(settings),
        *_prices(settings.api),
    ]
    if sampled:
        problems += _budget(settings)
        if settings.output.output is None:
            problems.append(f"{_missing('output')}: the sample's answers are kept beside it")

    if problems:
        raise InvalidInput("\n".join(problems))


def check_resume(settings: RunSettings) -> None:
    """The same for a run that is resumed: input, prompt and model are known, and a finished run needs no provider."""
    if problems := [*_contradictions(settings.api), *_prices(settings.api)]:
        raise InvalidInput("\n".join(problems))


def check_redrive(settings: RunSettings) -> None:
    """The same for failed rows that are asked again, which needs a provider."""
    if problems := [*_endpoint(settings.api), *_prices(settings.api)]:
        raise InvalidInput("\n".join(problems))


def _input(settings: RunSettings) -> Iterator[str]:
    if settings.documents.input is None:
        yield _missing("input")


def _endpoint(api: ApiSection) -> Iterator[str]:
    if api.provider is None and api.base_url is None:
        yield f"no provider: give {_ways('provider')}; or a base URL: {_ways('base_url')}"
    yield from _contradictions(api)


def _model(api: ApiSection) -> Iterator[str]:
    if api.model is None and api.provider is None:
        yield _missing("model")


def _contradictions(api: ApiSection) -> Iterator[str]:
    if api.provider is not None and api.base_url is not None:
        yield "provider and base_url are both given: leave one out, since a block has its own address and key"
    elif api.provider is not None and api.api_key_env is not None:
        yield "provider and api_key_env are both given: leave one out, since a block has its own key"


def _prompt(settings: RunSettings) -> Iterator[str]:
    if settings.prompt.prompt is not None and settings.prompt.prompt_file is not None:
        yield "prompt and prompt_file are both given: leave one out"


def _prices(api: ApiSection) -> Iterator[str]:
    prices = {"price_input": api.price_input, "price_output": api.price_output}
    absent = [name for name, price in prices.items() if price is None]
    if len(absent) == 1:
        given = next(name for name in prices if name not in absent)
        yield f"{given} is given without {absent[0]}: give both or neither"
    elif absent and api.price_cached_input is not None:
        yield "price_cached_input is given without price_input and price_output: give all three or none"


def _budget(settings: RunSettings) -> Iterator[str]:
    limited = settings.batch.max_cost is not None or settings.batch.max_cost_per_month is not None
    if limited and settings.api.max_output_tokens is None:
        yield f"a budget needs an output limit: give {_ways('max_output_tokens')}"


def _missing(key: str) -> str:
    return f"no {key}: give {_ways(key)}"


def _ways(key: str) -> str:
    option = options()[key]
    return f"{option.flag}, {option.place} in the config or {option.variable}"
