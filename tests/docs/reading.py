"""A page of the documents as its blocks of code, and what the tests do with each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
RUN = frozenset({"console", "python"})
SHOWN = frozenset({"text", "yaml", "json", "ini", "mermaid"})
NOT_RUN = "Not run by the tests: "
ASIDE = "In a terminal of its own"

_FENCE = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```$", flags=re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r' title="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: `info` is what stands behind its language, `line` where its fence stands."""

    language: str
    info: str
    code: str
    line: int

    @property
    def title(self) -> str:
        """What its reader sees above it."""
        found = _TITLE.fullmatch(self.info)
        return found[1] if found else ""

    @property
    def is_run(self) -> bool:
        """Whether the tests carry it out."""
        return self.language in RUN and not self.title.startswith(NOT_RUN)

    @property
    def is_aside(self) -> bool:
        """Whether it goes on while the blocks after it are carried out."""
        return self.title.startswith(ASIDE)


def blocks_of(page: str) -> list[Block]:
    """Every block of a page, in order."""
    return list(_blocks((ROOT / page).read_text(encoding="utf-8")))


def _blocks(text: str) -> Iterator[Block]:
    for found in _FENCE.finditer(text):
        indent, language, info, code = found.groups()
        lines = [line.removeprefix(indent) for line in code.splitlines(keepends=True)]
        yield Block(language, info, "".join(lines), text.count("\n", 0, found.start()) + 1)
