"""What a provider cannot answer, its fallbacks are asked: over real servers, one engine each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.engine.submitting import Asked, provider_at, requests
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer, free_port

from prefect_llm.engine import ask, close_engines
from prefect_llm.prompts import for_provider
from prefect_llm.values.errors import AuthenticationFailed, Interrupted, ModelNotFound, ProviderDown
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request

TOO_LONG = steps.error(400, "This model's maximum context length is 8 tokens.", code="context_length_exceeded")
GONE = steps.error(404, "The model `m` does not exist.", code="model_not_found")


@pytest.fixture(autouse=True)
def _fresh_engines() -> Iterator[None]:
    yield
    close_engines()


def asked_of(provider: Provider, count: int, *, first: int = 0) -> Asked:
    """Ask so many documents and their fallbacks' models."""
    asked, routes = Asked(), provider.routes

    def rewritten(request: Request, route: int) -> Request:
        return for_provider(request, routes[route])

    ask(provider, requests(count, first=first), asked.deliver, asked.stop, rewritten=rewritten)
    return asked


def with_backup(server: ScriptedServer, backup: ScriptedServer) -> Provider:
    """A provider, and another one behind it for the model `b`."""
    return provider_at(server.base_url, fallbacks=(provider_at(backup.base_url, model="b"),))


def routes(asked: Asked) -> list[int]:
    """Who answered, in the order of the documents."""
    ordered = sorted(asked.outcomes.items(), key=lambda item: int(item[0].removeprefix("doc-")))
    assert all(outcome.ok for _, outcome in ordered)
    return [outcome.route for _, outcome in ordered]


def test_a_context_too_long_for_the_first_is_asked_of_the_second(
    scripted_server: ScriptedServer, second_scripted_server: ScriptedServer
) -> None:
    scripted_server.script({"doc-3": TOO_LONG})
    asked = asked_of(with_backup(scripted_server, second_scripted_server), 6)
    assert routes(asked) == [0, 0, 0, 1, 0, 0]
    (received,) = second_scripted_server.log()
    assert (received.document, received.body["model"]) == ("doc-3", "b")
    assert asked.outcomes["doc-3"].attempts == 2


def test_another_model_of_the_same_provider_may_take_what_is_too_long(scripted_server: ScriptedServer) -> None:
    provider = provider_at(scripted_server.base_url)
    scripted_server.script({"doc-0": [TOO_LONG, steps.ok("long")]})
    asked = asked_of(replace(provider, fallbacks=(replace(provider, model="long-context"),)), 2)
    assert routes(asked) == [1, 0]
    assert [received.body["model"] for received in scripted_server.requests_for("doc-0")] == ["m", "long-context"]


def test_a_model_that_is_gone_is_asked_no_more_often_than_are_in_flight(
    scripted_server: ScriptedServer, second_scripted_server: ScriptedServer
) -> None:
    scripted_server.script_all(GONE)
    asked = asked_of(with_backup(scripted_server, second_scripted_server), 200)
    assert routes(asked) == [1] * 200
    assert scripted_server.stats().requests <= 8


def test_another_model_of_the_same_provider_is_asked_where_the_first_is_gone(scripted_server: ScriptedServer) -> None:
    provider = provider_at(scripted_server.base_url)
    scripted_server.know_models("next", "last")
    models = [replace(provider, model=model) for model in ("gone, too", "next")]
    asked = asked_of(replace(provider, fallbacks=tuple(models)), 30)
    assert routes(asked) == [2] * 30


def test_where_every_model_is_gone_the_run_stops(scripted_server: ScriptedServer) -> None:
    provider = provider_at(scripted_server.base_url)
    scripted_server.know_models("another")
    with pytest.raises(ModelNotFound, match="gone, too"):
        asked_of(replace(provider, fallbacks=(replace(provider, model="gone, too"),)), 30)


def test_a_model_that_is_not_listed_is_gone_too(
    scripted_server: ScriptedServer, second_scripted_server: ScriptedServer
) -> None:
    scripted_server.script_all(steps.status(404, {"error": "model 'm' not found"}))
    asked = asked_of(with_backup(scripted_server, second_scripted_server), 20)
    assert routes(asked) == [1] * 20


def test_a_host_that_cannot_be_reached_costs_no_document(second_scripted_server: ScriptedServer) -> None:
    provider = provider_at(f"http://127.0.0.1:{free_port()}/v1")
    asked = asked_of(replace(provider, fallbacks=(provider_at(second_scripted_server.base_url, model="b"),)), 100)
    assert routes(asked) == [1] * 100


def test_an_outage_in_mid_run_moves_what_is_left_and_the_first_is_asked_again_once_it_is_back(
    scripted_server: ScriptedServer, second_scripted_server: ScriptedServer
) -> None:
    down = steps.status(503)  # for whatever is asked again to see whether the server answers, too
    scripted_server.script({"*": down, **{f"doc-{row}": (steps.ok(), down) for row in range(50)}})
    provider = with_backup(scripted_server, second_scripted_server)
    moved = routes(asked_of(provider, 300))
    assert moved[:50] == [0] * 50
    assert moved[50:] == [1] * 250
    assert scripted_server.stats().requests < 50 + 40
    scripted_server.reset()
    again = routes(asked_of(provider, 100, first=300))
    assert again.count(0) > 0


def test_the_outage_of_all_of_them_stops_the_run(
    scripted_server: ScriptedServer, second_scripted_server: ScriptedServer
) -> None:
    scripted_server.script_all(steps.status(503))
    second_scripted_server.script_all(steps.status(503))
    backup = provider_at(second_scripted_server.base_url, model="b", outage_s=0.3)
    with pytest.raises(ProviderDown, match="nothing has succeeded"):
        asked_of(provider_at(scripted_server.base_url, outage_s=0.3, fallbacks=(backup,)), 100)


def test_a_bad_key_of_the_fallback_stops_the_run(
    scripted_server: ScriptedServer, second_scripted_server: ScriptedServer
) -> None:
    scripted_server.script({"doc-5": TOO_LONG})
    second_scripted_server.expect_key("another")
    with pytest.raises(AuthenticationFailed):
        asked_of(with_backup(scripted_server, second_scripted_server), 50)


def test_a_stop_gives_up_what_was_handed_over(
    scripted_server: ScriptedServer, second_scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_llm.engine.dispatcher.GRACE_S", 0.1)
    scripted_server.script_all(TOO_LONG)
    second_scripted_server.script({"*": steps.ok(), "doc-9": steps.hang()})
    asked = Asked()

    def deliver_and_stop(request: Request, outcome: object) -> None:
        asked.outcomes[request.document_id] = outcome  # type: ignore[assignment]
        if len(asked.outcomes) == 19:
            asked.stop.set(Interrupted("enough"))

    backup = provider_at(second_scripted_server.base_url, model="b", attempt_s=60)
    with pytest.raises(Interrupted):
        ask(
            provider_at(scripted_server.base_url, fallbacks=(backup,)),
            requests(20),
            deliver_and_stop,
            asked.stop,
            rewritten=lambda request, _: for_provider(request, backup),
        )
    assert len(asked.outcomes) == 19


def test_a_receiver_s_fault_on_the_fallback_s_thread_comes_out(
    scripted_server: ScriptedServer, second_scripted_server: ScriptedServer
) -> None:
    scripted_server.script({"doc-5": TOO_LONG})
    asked = Asked()

    def deliver(request: Request, outcome: object) -> None:
        if request.document_id == "doc-5":
            raise OSError("disk full")

    provider = with_backup(scripted_server, second_scripted_server)
    with pytest.raises(OSError, match="disk full"):
        ask(
            provider,
            requests(50),
            deliver,
            asked.stop,
            rewritten=lambda request, route: for_provider(request, provider.routes[route]),
        )
