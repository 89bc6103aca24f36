"""The command line: a thin room above everything else. Exit statuses: docs/contract.md, Exit status."""

from prefect_llm.cli.app import main

__all__ = ["main"]
