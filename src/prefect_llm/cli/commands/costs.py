"""The command `costs`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson

from prefect_llm.hosting import compare, load_scenario, to_html, to_markdown
from prefect_llm.values.errors import InvalidInput


def costs(scenario: str | None, workload: dict[str, Any], *, html: str | None, as_json: bool) -> int:
    """Print the comparison as JSON or Markdown, which a terminal shows drawn; with `html` write the page too."""
    comparison = compare(load_scenario(scenario, workload))
    if html is not None:
        try:
            Path(html).write_text(to_html(comparison), encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"{html} cannot be written: {error.strerror}; give --html a path that can") from error
    if as_json:
        print(orjson.dumps(comparison.to_json()).decode())
    elif sys.stdout.isatty():
        _draw(to_markdown(comparison))
    else:
        sys.stdout.write(to_markdown(comparison))
    return 0


def _draw(markdown: str) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(markdown))
