"""What ends a flow run on purpose is one sentence in its log: Prefect adds the traceback of whatever is raised."""

from __future__ import annotations

import logging

from prefect_llm.values.errors import LLMBatchError

LOGGERS = ("prefect.flow_runs", "prefect.engine")
"""Those of a flow run and of the process that a worker starts for it."""


class _WithoutTraceback(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, and take the traceback off one about an error of ours."""
        if record.exc_info and isinstance(record.exc_info[1], LLMBatchError):
            record.msg, record.args = f"{record.getMessage()}: {record.exc_info[1]}", ()
            record.exc_info = record.exc_text = None
        return True


_WITHOUT_TRACEBACK = _WithoutTraceback()


def log_without_traceback() -> None:
    """From now on, in this process. A second call changes nothing."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_WITHOUT_TRACEBACK)
