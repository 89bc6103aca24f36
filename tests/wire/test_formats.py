"""Formats by name: which one a provider speaks, and what is refused before anything is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.scripted_server.client import ScriptedServer

from prefect_llm.engine import Engine, engine_for, verify
from prefect_llm.engine.transport import check_provider
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.provider import Provider
from prefect_llm.wire.formats import FORMATS, format_of
from prefect_llm.wire.openai_chat import OpenAIChat

PROVIDER = Provider("https://llm.example/v1", model="m")


def test_a_provider_that_names_no_format_speaks_openais_chat() -> None:
    assert isinstance(format_of(PROVIDER), OpenAIChat)


def test_an_unknown_format_is_refused_with_those_that_are_known(scripted_server: ScriptedServer) -> None:
    provider = replace(PROVIDER, base_url=scripted_server.base_url, api="carrier-pigeon")
    known = "no wire format is called 'carrier-pigeon': write one of openai-chat"
    for ask in (check_provider, verify, Engine, engine_for):
        with pytest.raises(InvalidInput, match=known):
            ask(provider)
    assert scripted_server.log() == []


def test_providers_that_differ_in_their_format_have_engines_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "other", OpenAIChat())
    assert engine_for(PROVIDER) is engine_for(replace(PROVIDER, model="another"))
    assert engine_for(PROVIDER) is not engine_for(replace(PROVIDER, api="other"))


def test_a_key_that_cannot_be_sent_is_named_by_what_it_is_and_not_repeated() -> None:
    with pytest.raises(InvalidInput, match=r"^the API key cannot be sent"):
        check_provider(replace(PROVIDER, api_key="sk-1\n"))
    with pytest.raises(InvalidInput, match=r"^the value of 'x-tenant' cannot be sent") as refused:
        check_provider(replace(PROVIDER, headers={"X-Tenant": "grün"}))
    assert "grün" not in str(refused.value)
