"""The command `verify`."""

from __future__ import annotations

import os
import sys

from prefect_llm.cli.exit_status import Exit
from prefect_llm.cli.provider import provider_of
from prefect_llm.engine import verify as verify_provider
from prefect_llm.settings import load, unknown_variables
from prefect_llm.values.errors import InvalidInput, RunError
from prefect_llm.values.formatting import duration


def verify(
    *,
    provider: str | None,
    base_url: str | None,
    api_key_env: str | None,
    header: list[str] | None,
    model: str | None,
) -> int:
    """Print one sentence: what answered, or what is wrong with it (exit 3).

    Raises `InvalidInput` where nothing could be asked.
    """
    given = {"provider": provider, "base_url": base_url, "api_key_env": api_key_env, "header": header, "model": model}
    settings = load({name: value for name, value in given.items() if value is not None}, os.environ)
    for sentence in unknown_variables(os.environ):
        print(f"prefect-llm: {sentence}", file=sys.stderr)

    asked = provider_of(settings.api, settings.batch, os.environ)
    try:
        verified = verify_provider(asked, settings.api.model)
    except InvalidInput:
        raise
    except RunError as error:
        print(f"prefect-llm: {error}", file=sys.stderr)
        return Exit.STOPPED

    print(f"{verified.provider} answers with {verified.model} in {duration(verified.latency_ms / 1000)}")
    return Exit.DONE
