"""The summary as the last lines of a command: narrow enough for 80 columns, no markup read from messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect_llm.report.figures.summary import Summary
from prefect_llm.report.pages import sentences
from prefect_llm.values.formatting import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

_STYLES = {"completed": "bold green", "running": "bold", "interrupted": "bold yellow"}


def to_rich(summary: Summary) -> RenderableType:
    """What rich prints: the headline, what to do next, the figures, the cause of most failures."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    figures = Table.grid(padding=(0, 2))
    figures.add_column(style="dim", no_wrap=True)
    figures.add_column(overflow="fold")
    for name, value in sentences.table_rows(summary):
        figures.add_row(Text(name), Text(printable(value)))
    lines: list[RenderableType] = [Text(sentences.headline(summary), style=_STYLES.get(summary.state, "bold red"))]
    next_step = sentences.what_next(summary)
    if next_step is not None:
        lines.append(Text(printable(next_step)))
    lines.append(figures)
    cause = sentences.main_cause(summary)
    if cause is not None:
        lines.append(Text(printable(cause), style="yellow"))
    return Group(*lines)
