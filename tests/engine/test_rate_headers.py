"""Rate headers are heeded: an empty bucket is waited for, without a 429."""

from __future__ import annotations

from tests.engine.submitting import ask, provider_at, requests
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer


def test_an_empty_bucket_pauses_everyone_before_a_429(scripted_server: ScriptedServer) -> None:
    empty = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "700ms"}
    scripted_server.script({"doc-2": steps.ok(headers=empty)})
    outcomes = ask(provider_at(scripted_server.base_url, concurrency=1), requests(5))
    assert all(outcome.ok for outcome in outcomes.values())
    times = [received.received_at for received in scripted_server.log()]
    assert times[3] - times[2] >= 0.69
    assert times[4] - times[3] < 0.5
