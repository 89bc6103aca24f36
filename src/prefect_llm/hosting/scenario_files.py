"""Scenarios as YAML. Scalars are read as text, so that money never becomes a float."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from prefect_llm.hosting.scenario import Scenario
from prefect_llm.values.errors import InvalidInput, reason_of

REFERENCE = "hosting.yaml"
"""The reference case, beside the examples."""


def load_scenario(path: str | None = None, workload: dict[str, Any] | None = None) -> Scenario:
    """The scenario in a file, or the reference case; `workload` is laid over the file's.

    Raises `InvalidInput` with a line for each thing that is wrong.
    """
    where, text = _text(path)
    try:
        given = YAML(typ="base", pure=True).load(text)
    except YAMLError as error:
        raise InvalidInput(f"{where}: not YAML: {reason_of(error)}") from error

    if not isinstance(given, dict):
        raise InvalidInput(f"{where}: expected a mapping with workload, models and hosting")
    if workload and isinstance(given.get("workload"), dict):
        given["workload"] = _laid_over(given["workload"], workload)

    try:
        return Scenario.model_validate(given)
    except ValidationError as error:
        raise InvalidInput("\n".join(f"{where}: {_problem(each)}" for each in error.errors())) from error


def _text(path: str | None) -> tuple[str, str]:
    if path is None:
        return REFERENCE, resources.files("prefect_llm.examples").joinpath(REFERENCE).read_text(encoding="utf-8")
    try:
        return path, Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}; give the path of a YAML file") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from error


_VOLUMES = ("documents_per_day", "output_tokens_per_month")


def _laid_over(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """One way of saying the volume replaces the other."""
    replaced = _VOLUMES if any(name in over for name in _VOLUMES) else ()
    return {name: value for name, value in base.items() if name not in replaced} | over


def _problem(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"]) or "the scenario"
    return f"{place}: {error['msg'].removeprefix('Value error, ')}"
