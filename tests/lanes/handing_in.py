"""A process that hands a run's requests in and is killed while it waits: `handing_in.py OUTPUT LANE_FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lanes.bulk_lane import NAME, register
from tests.run.running import documents, spec_of

from prefect_llm.run.opening import open_run
from prefect_llm.run.options import RunOptions
from prefect_llm.run.threads import infer_pending
from prefect_llm.values.provider import Provider

if __name__ == "__main__":
    output, folder = sys.argv[1:]
    register(Path(folder))
    run = open_run(documents(25), output, spec_of(), options=RunOptions(lane=NAME))
    infer_pending(run, Provider("http://127.0.0.1:9/v1"))
