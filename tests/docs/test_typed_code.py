"""Every Python block of the README and the docs passes a strict type checker, as the code of a reader would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.docs.reading import PAGES, ROOT, blocks_of

CONFIG = """
[mypy]
strict = true
mypy_path = {source}
cache_dir = {cache}
# packages of others that bring no types
[mypy-pyarrow.*,pandas.*,datasets.*,deltalake.*,prefect_dask.*,prefect_ray.*]
ignore_missing_imports = true
follow_imports = skip
# checked by `make check`
[mypy-prefect_llm.*]
follow_imports = silent
"""


def test_the_python_blocks_of_every_page_are_typed(tmp_path: Path) -> None:
    pages = [page for page in PAGES if any(block.language == "python" for block in blocks_of(page))]
    assert len(pages) > 8
    files = [_module_of(page, tmp_path) for page in pages]
    for page, file in zip(pages, files, strict=True):
        file.write_text(_code_of(page), encoding="utf-8")

    config = tmp_path / "mypy.ini"
    config.write_text(CONFIG.format(source=ROOT / "src", cache=ROOT / ".mypy_cache" / "docs"), encoding="utf-8")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", config, *files, *(ROOT / "deployments").glob("*.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def _module_of(page: str, folder: Path) -> Path:
    return folder / f"{Path(page).with_suffix('').as_posix().replace('/', '_').replace('-', '_')}.py"


def _code_of(page: str) -> str:
    """The page's blocks one after the other, each at its own line, so that an error names the line of the page."""
    lines: list[str] = []
    for block in blocks_of(page):
        if block.language == "python":
            lines += [""] * (block.line - len(lines))
            lines += block.code.splitlines()
    return "\n".join(lines) + "\n"
