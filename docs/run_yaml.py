"""Puts every option into docs/run-yaml.md, off the settings: `python docs/run_yaml.py`. A test keeps them in step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prefect_llm.settings import Option, sections

PAGE = Path(__file__).with_name("run-yaml.md")
START, END = "<!-- made by docs/run_yaml.py -->\n", "<!-- end -->"
HEAD = ("| Key | Value | Default | Fixed | Meaning |", "| --- | --- | --- | --- | --- |")


def with_options(page: str) -> str:
    """The page with a table for each section."""
    before, rest = page.split(START)
    _, after = rest.split(END)
    return f"{before}{START}\n{chr(10).join(_tables())}\n\n{END}{after}"


def _tables() -> Iterator[str]:
    for number, (section, options) in enumerate(sections().items()):
        if number:
            yield ""
        yield from (f"## {section}", "", *HEAD)
        yield from map(_row, options.values())


def _row(option: Option) -> str:
    value = "true, false" if option.is_switch else option.metavar
    default = "" if option.default in (None, ()) else f"`{_plain(option.default)}`"
    fixed = "" if option.is_free else "fixed"
    cells = (f"`{option.key}`", f"`{value}`", default, fixed, option.description)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _plain(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


if __name__ == "__main__":
    PAGE.write_text(with_options(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
