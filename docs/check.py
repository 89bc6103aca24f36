"""Holds the documents against the code: links resolve, Python compiles, commands and their options exist."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from prefect_llm.cli.app import build_app

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "benchmarks/README.md",
    "docs/scaling.md",
    "examples/README.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
)


def problems() -> Iterator[str]:
    """One line for each thing a document says that is not so."""
    for name in DOCUMENTS:
        text = (ROOT / name).read_text(encoding="utf-8")
        yield from (f"{name}: {problem}" for problem in _problems_of(text, (ROOT / name).parent))


def _problems_of(text: str, folder: Path) -> Iterator[str]:
    for link in re.findall(r"\]\(([^)#]+?)\)", text):
        if "://" not in link and not (folder / link).exists():
            yield f"the link {link} leads nowhere"
    for language, block in re.findall(r"^```(\w+)[^\n]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        if language == "python":
            yield from _python_problems(block)
        elif language == "console":
            yield from _command_problems(block)


def _python_problems(block: str) -> Iterator[str]:
    try:
        ast.parse(block)
    except SyntaxError as error:
        yield f"a Python block does not compile: {error}"


def _command_problems(block: str) -> Iterator[str]:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for target in re.findall(r"^make (\w+)", block, flags=re.MULTILINE):
        if target not in targets:
            yield f"there is no target {target!r}"
    for line in block.replace("\\\n", " ").splitlines():
        if (command := re.match(r"prefect-llm (?!-)(\w+)(?: (\w+))?", line)) is None:
            continue
        if command[1] not in build_app():
            yield f"there is no command {command[1]!r}"
            continue
        flags = _flags(command[1], command[2])
        yield from (
            f"there is no option {flag}" for flag in re.findall(r"(?<=\s)--[a-z-]+", line) if flag not in flags
        )


def _flags(command: str, then: str | None) -> set[str]:
    app = build_app([command])[command]
    app = app[then] if then is not None and then in app else app
    arguments = app.assemble_argument_collection()
    return {name for argument in arguments for name in argument.names}


if __name__ == "__main__":
    found = list(problems())
    print("\n".join(found) or f"{len(DOCUMENTS)} documents agree with the code")
    sys.exit(1 if found else 0)
