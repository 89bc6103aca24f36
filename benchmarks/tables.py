"""Markdown tables that can be read in a terminal while their rows arrive, and targets held against figures."""

from __future__ import annotations

import inspect

WIDEST_NAME = 34


def heading(title: str, doc: str | None) -> None:
    """The title and what is measured, from a module's docstring."""
    print(f"## {title}\n\n{inspect.cleandoc(doc or '')}\n", flush=True)


class Table:
    """Prints its header when made, and each row as it comes."""

    def __init__(self, *columns: str) -> None:
        self._widths = [max(len(columns[0]), WIDEST_NAME), *map(len, columns[1:])]
        self._print(columns)
        rules = ["-" * self._widths[0], *("-" * (width - 1) + ":" for width in self._widths[1:])]
        self._print(rules)

    def row(self, name: str, *cells: object) -> None:
        """One row; numbers are given as text, in the precision they deserve."""
        self._print((name, *map(str, cells)))

    def _print(self, cells: tuple[str, ...] | list[str]) -> None:
        name, *others = cells
        padded = [name.ljust(self._widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(others, self._widths[1:], strict=True)]
        print(f"| {' | '.join(padded)} |", flush=True)


def verdict(what: str, value: float, *, at_least: float | None = None, at_most: float | None = None) -> None:
    """One line: the figure, its target, and whether it was reached."""
    bound, word = (at_most, "at most") if at_most is not None else (at_least, "at least")
    assert bound is not None
    reached = value <= bound if at_most is not None else value >= bound
    print(f"- {what}: **{value:.3g}**, target {word} {bound:g}: {'reached' if reached else '**missed**'}", flush=True)


def unmeasured(what: str, why: str) -> None:
    """One line for a target without a figure."""
    print(f"- {what}: **not measured** ({why})", flush=True)
