"""Puts the help of commands and options into docs/commands.md: `python docs/commands.py`. A test keeps them in step.

The page says which options it shows: `<!-- options of run: --output --model -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from cyclopts import App

from prefect_llm.cli.app import build_app

PAGE = Path(__file__).with_name("commands.md")
_COMMANDS = re.compile(r"(<!-- commands -->\n).*?(<!-- end -->)", flags=re.DOTALL)
_OPTIONS = re.compile(r"(<!-- options of ([a-z ]+): ([^\n]+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)


def with_help(page: str) -> str:
    """The page with the table of all commands, and with a table wherever it asks for options of one."""
    order = re.findall(r"^## (.+)$", page, flags=re.MULTILINE)
    page = _COMMANDS.sub(lambda found: f"{found[1]}\n{_table(_command_rows(order))}\n\n{found[2]}", page)
    return _OPTIONS.sub(lambda found: f"{found[1]}\n{_table(_option_rows(found[2], found[3]))}\n\n{found[4]}", page)


def commands() -> dict[str, App]:
    """Every command by its name, as in `automations create`."""
    return dict(_commands(build_app(), ""))


def _commands(app: App, before: str) -> Iterator[tuple[str, App]]:
    for name in app:
        if name.startswith("-"):
            continue
        if app[name].default_command is None:
            yield from _commands(app[name], f"{before}{name} ")
        else:
            yield f"{before}{name}", app[name]


def _command_rows(order: list[str]) -> Iterator[tuple[str, ...]]:
    yield "Command", "What it does"
    known = commands()
    for name in order:
        yield f"[`{name}`](#{name.replace(' ', '-')})", known[name].help.splitlines()[0]


def _option_rows(command: str, names: str) -> Iterator[tuple[str, ...]]:
    yield "Option", "What it does"
    helps = {
        argument.names[0]: argument.parameter.help for argument in commands()[command].assemble_argument_collection()
    }
    for name in names.split():
        yield f"`{name}`", helps[name] or ""


def _table(rows: Iterator[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join([lines[0], "| --- | --- |", *lines[1:]])


if __name__ == "__main__":
    PAGE.write_text(with_help(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
