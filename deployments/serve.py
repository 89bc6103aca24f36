"""Deployments without a work pool: this process, `python deployments/serve.py`, waits for their runs and starts them.

This suits one machine that is always on. If workers come and go, a work pool (prefect.yaml) is better. SIGTERM and
Ctrl-C stop the process within seconds. Its runs are rescheduled then, and continue when it is started again.
"""

from __future__ import annotations

from prefect.types.entrypoint import EntrypointType

from prefect_llm import batch_inference
from prefect_llm.workers import serve

INSTALLED = EntrypointType.MODULE_PATH
"""The flow is imported by its name, so a run uses the package that is installed here."""


def main() -> None:
    """Serve a nightly deployment and a manual one until the process ends."""
    nightly = batch_inference.to_deployment(
        "served-nightly",
        cron="0 2 * * *",
        parameters={
            "input": "/srv/llm/documents/*.parquet",
            "output": "/srv/llm/answers/{scheduled:%Y-%m-%d}",
            "provider": "production",
            "prompt": "Summarise in one sentence: {{ text }}",
            "batch": {"reuse": "previous"},
        },
        entrypoint_type=INSTALLED,
    )
    by_hand = batch_inference.to_deployment("served", entrypoint_type=INSTALLED)
    serve(nightly, by_hand, limit=2)  # type: ignore[arg-type, unused-ignore]


if __name__ == "__main__":
    main()
