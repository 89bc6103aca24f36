"""`prefect-llm`: parses, runs the command, and turns however it ends into an exit status and one sentence at most."""

from __future__ import annotations

import atexit
import importlib.metadata
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError

from prefect_llm.cli.commands.simulate import simulate
from prefect_llm.cli.exit_status import Exit
from prefect_llm.values.errors import InvalidInput, reason_of

if TYPE_CHECKING:
    from prefect_llm.settings import RunSettings
    from prefect_llm.values.outcome import ErrorKind


def main() -> None:
    """The console script. Leaves by `os._exit`: pyarrow now and then aborts an orderly interpreter exit."""
    signal.signal(signal.SIGTERM, _leave)
    status = exit_status(sys.argv[1:])
    atexit._run_exitfuncs()  # engines close, and the server that Prefect started for this run stops
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def exit_status(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status."""
    app = build_app(arguments)
    try:
        return int(app(arguments, exit_on_error=False, print_error=False, result_action="return_value") or 0)
    except UnusedCliTokensError as error:
        print(f"prefect-llm: {_too_many(error.unused_tokens or [])}", file=sys.stderr)
    except CycloptsError as error:
        print(f"prefect-llm: {error}", file=sys.stderr)
    except InvalidInput as error:
        for sentence in str(error).splitlines():
            print(f"prefect-llm: {sentence}", file=sys.stderr)
    except SystemExit as leaving:  # a signal that came while no run handled it
        return int(leaving.code or 0)
    except Exception as fault:
        print(f"prefect-llm: unexpected {type(fault).__name__}: {reason_of(fault)}", file=sys.stderr)
        return Exit.FAULT

    return Exit.REFUSED


def _too_many(words: Sequence[str]) -> str:
    others = f" (and {len(words) - 1:,} more)" if len(words) > 1 else ""
    return (
        f"{words[0]!r}{others} is one argument too many: quote a pattern, as in 'reports/*.csv', or the shell makes "
        "several arguments of it"
    )


def _leave(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def build_app(arguments: Sequence[str] = ()) -> App:
    """The commands. Their bodies import what they need: `--help` must not wait for Prefect.

    `simulate` stands alone where it is asked for: the options of `run` bring Arrow, most of a second to import.
    """
    app = App(
        name="prefect-llm",
        help="Batched LLM inference: documents in, one Parquet row per document out.",
        version=importlib.metadata.version("prefect-llm"),
    )
    app.command(simulate)
    if arguments[:1] == ["simulate"]:
        return app
    from prefect_llm.cli.options import add_estimate, add_redrive, add_resume, add_run

    add_run(app, run)
    add_estimate(app, estimate)
    add_resume(app, resume)
    add_redrive(app, redrive)
    app.command(report)
    app.command(clean)
    app.command(verify)
    app.command(demo)
    app.command(costs)
    automations = App(name="automations", help="Prefect's automations for runs.")
    automations.command(create_automations, name="create")
    app.command(automations)
    return app


def run(settings: RunSettings, prefect: bool) -> int:
    """Ask a model about every document of INPUT and write one Parquet row each.

    Run the same command again to continue where an earlier one stopped.
    """
    if prefect:
        from prefect_llm.cli.commands import flow_runs

        return flow_runs.run(settings)
    from prefect_llm.cli.commands import run as command

    return command.run(settings)


def estimate(settings: RunSettings, sample: int | None, seed: int, models: tuple[str, ...]) -> int:
    """Say what the same command with `run` would cost and how long it would take.

    Every document is rendered and counted, and nothing is asked. With --sample, that many requests are asked and give
    95% intervals; their answers are kept in .samples beside the output, for --reuse.
    """
    from prefect_llm.cli.commands import estimate as command

    return command.estimate(settings, sample, seed, models)


def resume(settings: RunSettings, directory: str) -> int:
    """Finish the run in DIR with its own documents, prompt and model; nothing already answered is asked again.

    Name the provider, as for `run`: a run's directory holds neither address nor key.
    """
    from prefect_llm.cli.commands import run as command

    return command.resume(settings, directory)


def redrive(settings: RunSettings, directory: str, only: frozenset[ErrorKind] | None) -> int:
    """Ask the failed rows of the finished run in DIR again, and replace them in place.

    Those that fail again are listed in _run/failed.csv. Name the provider, as for `run`.
    """
    from prefect_llm.cli.commands import run as command

    return command.redrive(settings, directory, only)


def report(
    directory: Annotated[str, Parameter(name="DIR", help="The run's directory, local or a URL.")],
    /,
) -> int:
    """Write report.md, report.html, ledger.json and failed.csv of the run in DIR again; nothing is asked.

    For an unfinished run they cover the rows so far.
    """
    from prefect_llm.cli.commands import report as command

    return command.report(directory)


def clean(
    directory: Annotated[str, Parameter(name="DIR", help="The run's directory, local or a URL.")],
    /,
    *,
    force: Annotated[
        bool,
        Parameter(
            negative="", show_default=False, help="Clean an unfinished run too, which can then never be finished."
        ),
    ] = False,
) -> int:
    """Remove the documents from the directory of a completed run: snapshot, temporary files and journals.

    Results (with the input columns they keep), manifest and report stay.
    """
    from prefect_llm.cli.commands import clean as command

    return command.clean(directory, force=force)


def verify(
    *,
    provider: Annotated[str | None, Parameter(help="Name of a saved LLM Provider block.")] = None,
    base_url: Annotated[str | None, Parameter(help="Endpoint including /v1.")] = None,
    api_key_env: Annotated[str | None, Parameter(help="Environment variable that holds the key.")] = None,
    header: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            consume_multiple=False,
            help="A further header: NAME=VARIABLE, where the environment variable holds its value.",
        ),
    ] = None,
    model: Annotated[str | None, Parameter(help="Model to ask for one token.")] = None,
) -> int:
    """Check endpoint, key and model with one answer of one token."""
    from prefect_llm.cli.commands import verify as command

    return command.verify(provider=provider, base_url=base_url, api_key_env=api_key_env, header=header, model=model)


def create_automations(
    *,
    notify: Annotated[
        str | None, Parameter(help="Report failed runs through this saved notification block: TYPE/NAME.")
    ] = None,
    zombie_after: Annotated[
        float, Parameter(help="Seconds without a heartbeat after which a flow run counts as crashed.")
    ] = 300.0,
) -> int:
    """Create automations on the Prefect server, replacing those that an earlier call created.

    A run with many errors is cancelled, one whose process is gone is marked as crashed, and with --notify failed runs
    are reported.
    """
    from prefect_llm.cli.commands import automations as command

    return command.create(notify=notify, zombie_after=zombie_after)


def demo(
    *,
    output: Annotated[str, Parameter(help="Directory of the run.")] = "runs/demo-{scheduled:%Y%m%d-%H%M%S}",
) -> int:
    """Run a real small model on this machine over the example messages, as a Prefect flow."""
    from prefect_llm.cli.commands import demo as command

    return command.demo(output)


def costs(
    scenario: Annotated[
        str | None, Parameter(name="SCENARIO", help="A YAML file like examples/hosting.yaml, which is the default.")
    ] = None,
    /,
    *,
    documents_per_day: Annotated[str | None, Parameter(help="The volume, instead of the file's.")] = None,
    output_tokens_per_month: Annotated[str | None, Parameter(help="Or the volume in output tokens.")] = None,
    input_tokens: Annotated[str | None, Parameter(help="Input tokens of a document.")] = None,
    output_tokens: Annotated[str | None, Parameter(help="Output tokens of a document.")] = None,
    html: Annotated[str | None, Parameter(help="Also write the page, with charts, to this file.")] = None,
    json: Annotated[bool, Parameter(negative="", show_default=False, help="Every figure as JSON instead.")] = False,
) -> int:
    """Compare what models cost from providers and on machines of your own: break-even, payback, a recommendation."""
    from prefect_llm.cli.commands import costs as command

    workload = {
        "documents_per_day": documents_per_day,
        "output_tokens_per_month": output_tokens_per_month,
        "input_tokens_per_document": input_tokens,
        "output_tokens_per_document": output_tokens,
    }
    given = {name: value for name, value in workload.items() if value is not None}
    return command.costs(scenario, given, html=html, as_json=json)
