"""`prefect-llm`: parses, carries out, and turns every end into an exit status and at most one sentence."""

from __future__ import annotations

import atexit
import importlib.metadata
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, NoReturn

from cyclopts import App, CycloptsError, Parameter

from prefect_llm.cli.ending import Exit
from prefect_llm.cli.options import add_run
from prefect_llm.errors import InvalidInput
from prefect_llm.settings import RunSettings


def main() -> None:
    """The console script. Leaves by `os._exit`: pyarrow now and then aborts an orderly interpreter exit."""
    signal.signal(signal.SIGTERM, _leave)
    status = exit_status(sys.argv[1:])
    atexit._run_exitfuncs()  # engines close, and the server that Prefect started for this run stops
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def exit_status(arguments: Sequence[str]) -> int:
    """Carry out one command line; the status to exit with."""
    app = build_app()
    try:
        return int(app(arguments, exit_on_error=False, print_error=False, result_action="return_value") or 0)
    except CycloptsError as error:
        print(f"prefect-llm: {error}", file=sys.stderr)
    except InvalidInput as error:
        for sentence in str(error).splitlines():
            print(f"prefect-llm: {sentence}", file=sys.stderr)
    except SystemExit as leaving:  # of a signal that no run was there to take
        return int(leaving.code or 0)
    except Exception as fault:
        print(f"prefect-llm: unexpected {type(fault).__name__}: {' '.join(str(fault).split())}", file=sys.stderr)
        return Exit.FAULT
    return Exit.REFUSED


def _leave(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def build_app() -> App:
    """The commands. Their bodies import what they need: `--help` must not wait for Prefect or Arrow."""
    app = App(
        name="prefect-llm",
        help="Batched LLM inference: documents in, one Parquet row per document out.",
        version=importlib.metadata.version("prefect-llm"),
    )
    add_run(app, run)
    app.command(verify)
    app.command(demo)
    return app


def run(settings: RunSettings, prefect: bool) -> int:
    """Ask a model about every document of INPUT and write one Parquet row each.

    The same command again goes on where an earlier one stopped.
    """
    if prefect:
        from prefect_llm.cli import flow_running

        return flow_running.run(settings)
    from prefect_llm.cli import running

    return running.run(settings)


def verify(
    *,
    provider: Annotated[str | None, Parameter(help="Name of a saved LLM Provider block.")] = None,
    base_url: Annotated[str | None, Parameter(help="Endpoint including /v1.")] = None,
    api_key_env: Annotated[str | None, Parameter(help="Environment variable that holds the key.")] = None,
    model: Annotated[str | None, Parameter(help="Model to ask for one token.")] = None,
) -> int:
    """Check endpoint, key and model with one answer of one token."""
    from prefect_llm.cli import verifying

    return verifying.verify(provider=provider, base_url=base_url, api_key_env=api_key_env, model=model)


def demo(
    *,
    output: Annotated[str, Parameter(help="Directory of the run.")] = "runs/demo-{scheduled:%Y%m%d-%H%M%S}",
) -> int:
    """Run a real small model on this machine over the example messages, as a Prefect flow."""
    from prefect_llm.cli import demonstrating

    return demonstrating.demo(output)
