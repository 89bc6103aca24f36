"""The run directory's name from its template. Only two placeholders, and nothing of an object is reachable."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from string import Formatter
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from prefect_llm.values.errors import InvalidInput

_DIRECTIVE = re.compile(r"%[-_0^#:]*.?")
_ALLOWED = "{scheduled:%Y-%m-%d} and {flow_run_id}"


def output_directory(template: str, scheduled: datetime, flow_run_id: str | None = None) -> str:
    """The template with `{scheduled:FORMAT}` and `{flow_run_id}` filled in; `{{` and `}}` stand for braces.

    The time is as `scheduled` has it, UTC in a run, or that of a zone: `{scheduled:%Y-%m-%d@Europe/Berlin}`. Raises
    `InvalidInput` on any other placeholder, on an unknown zone, and on `{flow_run_id}` where there is no flow run.
    """
    try:
        return "".join(_filled(template, scheduled, flow_run_id))
    except ValueError as error:
        raise InvalidInput(f"output {template!r}: {error}; it may hold {_ALLOWED}") from error


def base_directory(template: str) -> str:
    """Where every directory that the template names lies: what is above its first component with a placeholder.

    Raises `InvalidInput` where it has no placeholder, and so names one directory only.
    """
    if (base := _above_placeholder(template)) is not None:
        return base
    raise InvalidInput(
        f"reuse: output {template!r} names one directory only, which has no previous run: give it a placeholder, "
        f"as in {template.rstrip('/')}/{{scheduled:%Y-%m-%d}}, or the directory of an earlier run to reuse"
    )


def parent_of(template: str) -> str:
    """The same, and without a placeholder the directory in which the one directory lies."""
    base = _above_placeholder(template)
    return _above(template.rstrip("/")) if base is None else base


def _above_placeholder(template: str) -> str | None:
    base = ""
    for literal, name, _, _ in Formatter().parse(template):
        base += literal
        if name is not None:
            return _above(base)
    return None


def _above(path: str) -> str:
    above, slash, _ = path.rpartition("/")
    return above or slash or "."


def _filled(template: str, scheduled: datetime, flow_run_id: str | None) -> Iterator[str]:
    for literal, name, form, conversion in Formatter().parse(template):
        yield literal
        if name is None:
            continue
        if name not in ("scheduled", "flow_run_id") or conversion:
            raise ValueError(f"there is no placeholder {{{name}{'!' + conversion if conversion else ''}}}")
        if name == "scheduled":
            if not form or "%" not in form or "{" in form:
                raise ValueError("{scheduled} needs the format of a date")
            date_form, zone = _in_zone(form)
            yield _dated(scheduled if zone is None else scheduled.astimezone(zone), date_form)
        elif form:
            raise ValueError("{flow_run_id} takes no format")
        elif flow_run_id is None:
            raise InvalidInput(
                f"output {template!r}: {{flow_run_id}} has a value in a Prefect flow run only; use --prefect or "
                "leave it out"
            )
        else:
            yield flow_run_id


def _in_zone(form: str) -> tuple[str, ZoneInfo | None]:
    """The format and the zone behind its last `@`. What cannot be a zone's name is a part of the directory's."""
    date_form, at, name = form.rpartition("@")
    if not at or "%" in name:
        return form, None
    try:
        return date_form, ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # ValueError: not a name; OSError: the name of a folder
        if "/" in name:
            raise ValueError(f"there is no time zone {name!r}; one is named as Europe/Berlin") from None
        return form, None


def _dated(scheduled: datetime, form: str) -> str:
    """The date in that format; what stands for nothing in a date stays as it is, and is refused."""
    for directive in _DIRECTIVE.findall(form):
        if directive != "%%" and scheduled.strftime(directive) == directive:
            raise ValueError(f"a date has no {directive}")
    return scheduled.strftime(form)
