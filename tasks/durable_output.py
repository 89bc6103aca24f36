"""Whether what is written will still be there when the flow run has ended."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from prefect_llm.values.errors import InvalidInput

WORKING_DIRECTORY = re.compile(r"prefect-flow-run-.+|.+prefect")
"""How `prefect flow-run execute` and a process worker name a flow run's directory, which they remove at its end."""


def check_durable(output: str) -> None:
    """Raise `InvalidInput` for a relative path below a directory that Prefect removes with its flow run."""
    if "://" in output or Path(output).is_absolute():
        return
    here, temporary = Path.cwd(), Path(tempfile.gettempdir()).resolve()
    if not here.is_relative_to(temporary) or here == temporary:
        return
    if WORKING_DIRECTORY.fullmatch(here.relative_to(temporary).parts[0]):
        raise InvalidInput(
            f"output {output!r} is a relative path, and Prefect removes this flow run's working directory at its "
            "end: give an absolute path, or the URL of an object store"
        )
