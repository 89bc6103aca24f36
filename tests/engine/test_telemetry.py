"""What OpenTelemetry is told where it is set up; where it is not, nothing is imported for it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes.gen_ai_attributes import GenAiProviderNameValues
from tests.engine.submitting import Asked, ask, provider_at, requests
from tests.measured import points_of, total
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.engine import Engine
from prefect_llm.engine.submission import Backlog, Receiver, Submission
from prefect_llm.system import telemetry, telemetry_conventions

WITHOUT = """
import sys
import prefect_llm.run.chunk
from prefect_llm.system.telemetry import here, recorder
assert recorder() is None and here() is None
print(sorted(name for name in sys.modules if name.startswith("opentelemetry")))
"""


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: tracers)
    return exporter


def test_requests_are_counted_timed_and_measured_in_tokens(
    reader: InMemoryMetricReader, scripted_server: ScriptedServer
) -> None:
    scripted_server.script_all(steps.ok("yes", usage=steps.tokens(10, 3), model="m-2026"))
    ask(provider_at(scripted_server.base_url), requests(5))
    points = points_of(reader)
    (duration,) = points["gen_ai.client.operation.duration"]
    assert duration.count == 5
    assert 0 < duration.sum < 5
    assert dict(duration.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "127.0.0.1",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "m-2026",
        "server.address": "127.0.0.1",
        "server.port": scripted_server.port,
    }
    tokens = {point.attributes["gen_ai.token.type"]: point.sum for point in points["gen_ai.client.token.usage"]}
    assert tokens == {"input": 50, "output": 15}
    assert total(points["prefect_llm.requests"]) == 5
    assert "prefect_llm.retries" not in points


def test_retries_429s_and_failures_are_told_apart(
    reader: InMemoryMetricReader, scripted_server: ScriptedServer
) -> None:
    scripted_server.script(
        {
            "doc-0": [steps.status(429), steps.ok()],
            "doc-1": [steps.status(500), steps.ok()],
            "doc-2": steps.status(400),
        }
    )
    ask(provider_at(scripted_server.base_url), requests(3))
    points = points_of(reader)
    assert total(points["prefect_llm.requests"]) == 5
    assert total(points["prefect_llm.retries"]) == 2
    assert total(points["prefect_llm.throttled"]) == 1
    failed = {point.attributes.get("error.type"): point.count for point in points["gen_ai.client.operation.duration"]}
    assert {kind: failed[kind] for kind in ("throttled", "server_error", "rejected")} == {
        "throttled": 1,
        "server_error": 1,
        "rejected": 1,
    }


def test_each_request_is_a_span_of_whoever_handed_it_in(
    spans: InMemorySpanExporter, scripted_server: ScriptedServer
) -> None:
    scripted_server.script({"doc-0": steps.status(400)})
    with trace.get_tracer_provider().get_tracer("test").start_as_current_span("chunk") as chunk:
        ask(provider_at(scripted_server.base_url), requests(2))
    asked = [each for each in spans.get_finished_spans() if each.name == "chat m"]
    assert len(asked) == 2
    assert {each.parent.span_id for each in asked if each.parent} == {chunk.get_span_context().span_id}
    assert sorted(each.status.status_code.name for each in asked) == ["ERROR", "UNSET"]
    (failed,) = [each for each in asked if each.status.status_code.name == "ERROR"]
    assert (failed.attributes or {})["error.type"] == "rejected"


def test_a_span_says_what_was_asked_for_and_what_came(
    spans: InMemorySpanExporter, scripted_server: ScriptedServer
) -> None:
    scripted_server.script_all(
        steps.ok(finish_reason="length", usage=steps.tokens(10, 7, cached=4, written=3, reasoning=2))
    )
    (request,) = requests(1)
    parameters = replace(request.parameters, max_output_tokens=7, temperature=0.0)
    ask(provider_at(scripted_server.base_url), iter([replace(request, parameters=parameters)]))
    (span,) = spans.get_finished_spans()
    assert span.attributes is not None
    assert {name: value for name, value in span.attributes.items() if name.startswith("gen_ai.")} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "127.0.0.1",
        "gen_ai.request.model": "m",
        "gen_ai.request.max_tokens": 7,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.response.model": "m",
        "gen_ai.response.finish_reasons": ("length",),
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_creation.input_tokens": 3,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.reasoning.output_tokens": 2,
    }


def test_a_span_does_not_repeat_the_key_that_an_endpoint_repeats(
    spans: InMemorySpanExporter, scripted_server: ScriptedServer
) -> None:
    key = "sk-must-not-leave-5501"
    scripted_server.script_all(steps.error(400, f"Your key {key} may not do this."))
    ask(provider_at(scripted_server.base_url, api_key=key), requests(1))
    (span,) = spans.get_finished_spans()
    assert "may not do this" in span.to_json()
    assert key not in span.to_json()


def test_a_span_lasts_as_long_as_its_request_and_belongs_to_its_own_chunk(
    spans: InMemorySpanExporter, scripted_server: ScriptedServer
) -> None:
    """With one place, the coroutine of one chunk goes on with the other chunk's requests."""
    scripted_server.delay(0.05)
    engine, asked = Engine(provider_at(scripted_server.base_url, concurrency=1)), Asked()
    tracer = trace.get_tracer_provider().get_tracer("test")
    submissions = []
    for chunk in range(2):
        with tracer.start_as_current_span(f"chunk {chunk}"):
            submissions.append(Submission(Backlog(requests(2, first=2 * chunk)), Receiver(asked.deliver), asked.stop))
            engine.start(submissions[-1])
    for submission in submissions:
        engine.finish(submission)
    engine.close()
    finished = spans.get_finished_spans()
    chunks = {each.name: each.context.span_id for each in finished if each.name.startswith("chunk")}
    asked_spans = [each for each in finished if each.name == "chat m"]
    parents = [each.parent.span_id for each in asked_spans if each.parent is not None]
    assert parents == [chunks["chunk 0"]] * 2 + [chunks["chunk 1"]] * 2
    assert all(0.05e9 <= (each.end_time or 0) - (each.start_time or 0) < 5e9 for each in asked_spans)


def test_without_a_provider_nothing_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_api_alone_records_nothing() -> None:
    assert telemetry.recorder() is None


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("api.openai.com", "openai"),
        ("eu.api.openai.com", "openai"),
        ("my-resource.openai.azure.com", "azure.ai.openai"),
        ("api.anthropic.com", "anthropic"),
        ("api.mistral.ai", "mistral_ai"),
        ("api.x.ai", "x_ai"),
        ("generativelanguage.googleapis.com", "gcp.gemini"),
        ("europe-west1-aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("bedrock-runtime.eu-central-1.amazonaws.com", "aws.bedrock"),
        ("openrouter.ai", "openrouter.ai"),
        ("api.openai.com.example", "api.openai.com.example"),
        ("notapi.openai.com", "notapi.openai.com"),
    ],
)
def test_a_provider_that_the_conventions_know_has_their_name_and_another_its_host(host: str, name: str) -> None:
    assert telemetry_conventions.provider_name(host) == name


def test_every_name_of_a_well_known_provider_is_one_of_the_conventions() -> None:
    named = {*telemetry_conventions.WELL_KNOWN.values(), *telemetry_conventions.WELL_KNOWN_PATTERNS.values()}
    assert named <= {each.value for each in GenAiProviderNameValues}
