"""The command `clean`."""

from __future__ import annotations

from prefect_llm.cli.exit_status import Exit
from prefect_llm.store.cleaning import clean_run


def clean(directory: str, *, force: bool) -> int:
    """Print what was removed. Raises `InvalidInput` where nothing was."""
    removed = clean_run(directory, force=force)
    files = "1 file" if removed == 1 else f"{removed:,} files"
    print(f"removed the snapshot of {directory}, {files}" if removed else f"{directory} is clean already")
    return Exit.DONE
