"""A process worker that can be stopped: its runs write, say so in their state, and go on with the next worker."""

from prefect_llm.workers.rescheduling import reschedule
from prefect_llm.workers.serving import serve
from prefect_llm.workers.worker import ReschedulingWorker

__all__ = ["ReschedulingWorker", "reschedule", "serve"]
