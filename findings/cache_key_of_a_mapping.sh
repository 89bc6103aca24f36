#!/usr/bin/env bash
# What:      a cached task (cache_policy=INPUTS) asked with {1: "a"} and then with {"1": "a"}, with (1, 2) and then with [1, 2]
# Version:   prefect 3.9.1
# Guess:     inputs that Python holds unequal have keys of their own, as 1 and "1", or a date and its text, do here
# Behaviour: keys are made of the inputs as JSON: both share one, and the second call is answered with the result of the first
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check prefect==3.9.1 "fastapi<0.150"
export PREFECT_HOME=$room/prefect DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false
export PREFECT_LOGGING_LEVEL=CRITICAL PREFECT_SERVER_LOGGING_LEVEL=CRITICAL

venv/bin/python - <<'PY'
from datetime import date

import prefect
from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.testing.utilities import prefect_test_harness

PAIRS = [({1: "a"}, {"1": "a"}), ((1, 2), [1, 2]), (1, "1"), (date(2026, 1, 1), "2026-01-01")]


@task(cache_policy=INPUTS, persist_result=True)
def seen_by(value):
    return repr(value)


@flow
def ask():
    return [(seen_by(first), seen_by(second)) for first, second in PAIRS]


with prefect_test_harness(server_startup_timeout=180):
    answers = ask()

print("prefect", prefect.__version__)
for (first, second), (_, answer) in zip(PAIRS, answers):
    print(f"{second!r} asked after {first!r}: guessed {second!r}, answered {answer}")

assert [answer for _, answer in answers] == ["{1: 'a'}", "(1, 2)", "'1'", "'2026-01-01'"]
PY
