#!/usr/bin/env bash
# What:      prompts with a `{{ document }}` of their own, as parameters of a deployment in prefect.yaml
# Version:   prefect 3.9.1
# Guess:     what names no build step or variable stays the text it is, or the command refuses it
# Behaviour: `prefect deploy` warns, ends with 0 and empties the braces: "Summarise: {{ document }}" is kept as "Summarise: ", and a
#            prompt that is all braces is taken out, so that the flow runs with its default
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check prefect==3.9.1 "fastapi<0.150"
export PREFECT_HOME=$room/prefect DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false PREFECT_SERVER_LOGGING_LEVEL=CRITICAL

cat >flows.py <<'PY'
from prefect import flow


@flow
def summarise(prompt: str, system: str = "Be brief."):
    print(prompt, system)
PY
cat >prefect.yaml <<'YAML'
deployments:
- name: nightly
  entrypoint: flows.py:summarise
  work_pool: {name: pool}
  parameters:
    prompt: "Summarise: {{ document }}"
    system: "{{ instructions }}"
YAML

venv/bin/python - <<'PY'
import os
import subprocess
import sys
from pathlib import Path

import prefect
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness

COMMAND = Path(sys.executable).with_name("prefect")

with prefect_test_harness(server_startup_timeout=180):
    environment = {**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value()}

    def run(*words):
        return subprocess.run([COMMAND, "--no-prompt", *words], env=environment, capture_output=True, text=True)

    run("work-pool", "create", "pool", "--type", "process").check_returncode()
    deploy = run("deploy", "--all")
    with get_client(sync_client=True) as client:
        kept = client.read_deployment_by_name("summarise/nightly").parameters

print("prefect", prefect.__version__)
print("guessed:", {"prompt": "Summarise: {{ document }}", "system": "{{ instructions }}"})
print("kept:   ", kept, "with exit code", deploy.returncode)

assert deploy.returncode == 0
assert kept == {"prompt": "Summarise: "}
PY
