"""Puts what `prefect-llm costs` prints into docs/costs.md: `python docs/costs.py`. A test keeps them in step."""

from __future__ import annotations

from pathlib import Path

from prefect_llm.hosting import compare, load_scenario, to_markdown

PAGE = Path(__file__).with_name("costs.md")
START, END = "<!-- made by prefect-llm costs -->\n", "<!-- end -->"


def with_tables(page: str) -> str:
    """The page with the reference case's tables; its headings go two levels down."""
    before, rest = page.split(START)
    _, after = rest.split(END)
    made = to_markdown(compare(load_scenario()))
    lines = (f"##{line}" if line.startswith("#") else line for line in made.splitlines())
    return f"{before}{START}\n{chr(10).join(lines)}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
