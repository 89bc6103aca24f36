"""The command line: a thin room above everything else. Exit statuses are CONTRACT: 0, 1, 2, 3, 4, 130, 143."""

from prefect_llm.cli.app import main

__all__ = ["main"]
