#!/usr/bin/env bash
# What:      a task that yields (the pieces of a streamed answer) and has retries; its first attempt fails after two pieces
# Version:   prefect 3.9.1
# Guess:     the reader sees the failure, or the pieces of the attempt that succeeded: a retried task has one result
# Behaviour: the second attempt starts anew behind what was yielded: the reader gets the first two pieces twice, and all is Completed
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check prefect==3.9.1 "fastapi<0.150"
export PREFECT_HOME=$room/prefect DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false
export PREFECT_LOGGING_LEVEL=CRITICAL PREFECT_SERVER_LOGGING_LEVEL=CRITICAL

venv/bin/python - <<'PY'
import prefect
from prefect import flow, task
from prefect.testing.utilities import prefect_test_harness

attempts = []


@task(retries=1)
def stream():
    attempts.append(1)
    yield "The "
    yield "answer "
    if len(attempts) == 1:
        raise ConnectionError("cut off")
    yield "is 4."


@flow
def read():
    return "".join(stream())


with prefect_test_harness(server_startup_timeout=180):
    state = read(return_state=True)
    text = state.result()

print("prefect", prefect.__version__)
print("guessed:  'The answer is 4.', or ConnectionError")
print(f"received: {text!r} in {len(attempts)} attempts; the flow: {state.name}")

assert text == "The answer The answer is 4."
assert (len(attempts), state.name) == (2, "Completed")
PY
