"""The options of `run`, `estimate`, `resume` and `redrive`, made from the settings: nothing is explained again.

Values are handed on as the text that was typed, so that the settings check and phrase everything alike.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

from cyclopts import App, Group, Parameter

from prefect_llm.settings import (
    Option,
    RunSettings,
    check,
    check_estimate,
    check_redrive,
    check_resume,
    load,
    sections,
)
from prefect_llm.settings.options import POSITIONAL
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.outcome import ErrorKind

EPILOGUE = (
    "Each option can also be set in the environment, as PREFECT_LLM_ and its name in capitals with underscores, or "
    "in the configuration file, under the section that is its heading here. A flag overrides the environment, the "
    "environment the file, and the file a provider block."
)

RESUME_EPILOGUE = (
    "What is fixed for the run (documents, prompt, model, parameters, chunks) is read from its directory, whatever "
    "the environment or the configuration file say. " + EPILOGUE
)

KINDS_OF_FAILURE = f"they are {', '.join(ErrorKind)}"

RunBody = Callable[[RunSettings, bool], int]
"""The body of `run`: takes complete settings and whether Prefect runs them; returns the exit status."""
ResumeBody = Callable[[RunSettings, str], int]
"""The body of `resume`: takes the settings that may change, and the run's directory; returns the exit status."""


EstimateBody = Callable[[RunSettings, int | None, int, tuple[str, ...]], int]
"""The body of `estimate`: takes settings, the sample's size (`None`: no sample), its seed, and other models."""
RedriveBody = Callable[[RunSettings, str, frozenset[ErrorKind] | None], int]
"""The body of `redrive`: as `resume`, and which kinds of failures to ask again; `None` for all."""


def add_run(app: App, body: RunBody) -> None:
    """Give `app` the command `run`, explained by the docstring of `body`.

    What the settings refuse, the command raises as `InvalidInput`, a sentence a line.
    """
    app.command(
        _command(body),
        name="run",
        usage=f"Usage: {app.name[0]} run [INPUT] [OPTIONS]",
        help_format="plaintext",
        help_epilogue=EPILOGUE,
    )


def add_estimate(app: App, body: EstimateBody) -> None:
    """Give `app` the command `estimate`: the options of `run`, and what is estimated."""

    def estimate(*args: Any, **given: Any) -> int:
        config, models = given.pop("config", None), given.pop("models", None)
        sample, seed = given.pop("sample", None), given.pop("seed", None) or 0
        if sample is not None and sample < 1:
            raise InvalidInput(f"--sample is {sample}: it counts requests, from 1")
        flags = given | dict(zip([POSITIONAL], args, strict=False))
        settings = load(flags, os.environ, config)
        check_estimate(settings, sampled=sample is not None)
        return body(settings, sample, seed, tuple(each.strip() for each in (models or "").split(",") if each.strip()))

    app.command(
        _described(estimate, body, [*_of_the_estimate(), *_of_sections(lambda _: True), *_of_the_run(prefect=False)]),
        name="estimate",
        usage=f"Usage: {app.name[0]} estimate [INPUT] [OPTIONS]",
        help_format="plaintext",
        help_epilogue=EPILOGUE,
    )


def add_resume(app: App, body: ResumeBody) -> None:
    """Give `app` the command `resume`, with the options of `run` that are free when a run goes on."""

    def resume(*args: Any, **given: Any) -> int:
        (directory,) = args
        config = given.pop("config", None)
        settings = load(given, os.environ, config)
        check_resume(settings)
        return body(settings, directory)

    app.command(
        _described(
            resume, body, [_directory(), *_of_sections(lambda option: option.is_free), *_of_the_run(prefect=False)]
        ),
        name="resume",
        usage=f"Usage: {app.name[0]} resume DIR [OPTIONS]",
        help_format="plaintext",
        help_epilogue=RESUME_EPILOGUE,
    )


def add_redrive(app: App, body: RedriveBody) -> None:
    """Give `app` the command `redrive`: the options of `resume`, which kinds of failures, and another model."""

    def redrive(*args: Any, **given: Any) -> int:
        (directory,) = args
        config, only = given.pop("config", None), given.pop("only", None)
        kinds = _kinds(only)
        settings = load(given, os.environ, config)
        check_redrive(settings)
        return body(settings, directory, kinds)

    options = _of_sections(lambda option: option.is_free or option.key == "model")
    app.command(
        _described(redrive, body, [_directory(), _only(), *options, *_of_the_run(prefect=False)]),
        name="redrive",
        usage=f"Usage: {app.name[0]} redrive DIR [OPTIONS]",
        help_format="plaintext",
        help_epilogue=RESUME_EPILOGUE,
    )


def _kinds(only: str | None) -> frozenset[ErrorKind] | None:
    if only is None:
        return None
    words = [word.strip() for word in only.split(",")]
    if unknown := [word for word in words if word not in set(ErrorKind)]:
        raise InvalidInput(f"--only: {', '.join(map(repr, unknown))} is not a kind of failure; {KINDS_OF_FAILURE}")
    return frozenset(map(ErrorKind, words))


def _only() -> inspect.Parameter:
    text = f"Only these kinds of failures, separated by commas; {KINDS_OF_FAILURE}."
    group = Group.create_ordered("Failures")
    return _parameter("only", str, Parameter(name="--only", metavar="KIND,KIND", group=group, help=text))


def _command(body: RunBody) -> Callable[..., int]:
    def run(*args: Any, **given: Any) -> int:
        config = given.pop("config", None)
        prefect = given.pop("prefect", None) or False
        flags = given | dict(zip([POSITIONAL], args, strict=False))
        settings = load(flags, os.environ, config)
        check(settings)
        return body(settings, prefect)

    return _described(run, body, [*_of_sections(lambda _: True), *_of_the_run(prefect=True)])


def _described(
    command: Callable[..., int], body: Callable[..., int], parameters: Iterable[inspect.Parameter]
) -> Callable[..., int]:
    """The command with the docstring of its body and these parameters."""
    ordered = sorted(parameters, key=lambda parameter: parameter.kind)
    command.__doc__ = inspect.getdoc(body)
    command.__signature__ = inspect.Signature(ordered, return_annotation=int)  # type: ignore[attr-defined]
    return command


def _of_sections(shown: Callable[[Option], bool]) -> Iterator[inspect.Parameter]:
    for name, known in sections().items():
        model = next(iter(known.values())).model
        group = Group.create_ordered(model.model_config.get("title") or name)
        yield from (_of_option(option, group) for option in known.values() if shown(option))


def _of_the_run(*, prefect: bool) -> Iterator[inspect.Parameter]:
    group = Group.create_ordered("Run")
    text = "A file with these options, section by section."
    yield _parameter("config", str, Parameter(name="--config", metavar="run.yaml", group=group, help=text))
    if prefect:
        text = "Run as the flow batch_inference, watched by Prefect."
        yield _parameter("prefect", bool, Parameter(name="--prefect", negative="", group=group, help=text))


def _of_the_estimate() -> Iterator[inspect.Parameter]:
    group = Group.create_ordered("Estimate")
    text = "Send this many requests, drawn at random; by default none is sent."
    yield _parameter("sample", int, Parameter(name="--sample", metavar="N", group=group, help=text))
    text = "Seeds the sample: the same seed draws the same documents. Default: 0."
    yield _parameter("seed", int, Parameter(name="--seed", metavar="N", group=group, help=text))
    text = "Estimate these models too, by list price: the provider's own, or PROVIDER/MODEL, as openai/gpt-4.1-mini."
    yield _parameter("models", str, Parameter(name="--models", metavar="M,M", group=group, help=text))


def _directory() -> inspect.Parameter:
    parameter = Parameter(name="DIR", help="The run's directory, local or a URL.")
    kind = Annotated[str, parameter]
    return inspect.Parameter("directory", inspect.Parameter.POSITIONAL_ONLY, annotation=kind)


def _of_option(option: Option, group: Group) -> inspect.Parameter:
    default = option.default
    shown_default = None if option.is_switch or default is None else _plain(default)
    parameter = Parameter(
        name=option.flag,
        metavar=None if option.is_switch else option.metavar,
        # no --no-FLAG: what is off by default needs no flag to be off
        negative="",
        group=group,
        help=_help(option),
        show_default=False if shown_default is None else lambda _: shown_default,
        consume_multiple=False,
    )
    if option.key == POSITIONAL:
        return _parameter(option.key, str, parameter, inspect.Parameter.POSITIONAL_ONLY)

    kind = bool if option.is_switch else list[str] if option.is_repeatable else str
    return _parameter(option.key, kind, parameter)


def _help(option: Option) -> str:
    return f"{option.description} May be given several times." if option.is_repeatable else option.description


def _plain(default: Any) -> str:
    return f"{default:g}" if isinstance(default, float) else str(default)


def _parameter(
    name: str, kind: Any, parameter: Parameter, how: Any = inspect.Parameter.KEYWORD_ONLY
) -> inspect.Parameter:
    return inspect.Parameter(name, how, default=None, annotation=Annotated[kind | None, parameter])
