"""Puts the table of words into docs/providers.md: `python docs/providers.py`. A test keeps them in step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prefect_llm.wire.context_length import WORDINGS

PAGE = Path(__file__).with_name("providers.md")
START, END = "<!-- made by docs/providers.py -->\n", "<!-- end -->"


def with_words(page: str) -> str:
    """The page with a row for each sentence."""
    before, rest = page.split(START)
    _, after = rest.split(END)
    return f"{before}{START}\n{chr(10).join(_rows())}\n\n{END}{after}"


def _rows() -> Iterator[str]:
    yield "| Server | Words | Seen in |"
    yield "| --- | --- | --- |"
    for wording in WORDINGS:
        words = f"`` {wording.words} ``" if "`" in wording.words else f"`{wording.words}`"
        yield f"| {wording.server} | {words} | {wording.source} |"


if __name__ == "__main__":
    PAGE.write_text(with_words(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
