from __future__ import annotations

import pytest
from tests.blocks.making import make_block
from tests.scripted_server.client import ScriptedServer, free_port

from prefect_llm import InvalidInput
from prefect_llm.values.errors import AuthenticationFailed, ModelNotFound, ProviderDown

KEY = "sk-verify-key"


def test_a_sound_provider_answers_with_one_token_of_its_model(scripted_server: ScriptedServer) -> None:
    scripted_server.expect_key(KEY)
    verified = make_block(base_url=scripted_server.base_url, api_key=KEY, model="m").verify()
    assert (verified.provider, verified.model) == ("127.0.0.1", "m")
    [received] = scripted_server.log()
    assert received.body["max_tokens"] == 1


def test_another_model_than_the_default_can_be_verified(scripted_server: ScriptedServer) -> None:
    assert make_block(base_url=scripted_server.base_url, model="m").verify("other").model == "other"


def test_extra_headers_are_sent(scripted_server: ScriptedServer) -> None:
    make_block(base_url=scripted_server.base_url, model="m", headers={"x-tenant": "seven"}).verify()
    assert scripted_server.log()[0].headers["x-tenant"] == "seven"


def test_a_wrong_key_is_said_without_repeating_it(scripted_server: ScriptedServer) -> None:
    scripted_server.expect_key("another")
    with pytest.raises(AuthenticationFailed) as stopped:
        make_block(base_url=scripted_server.base_url, api_key=KEY, model="m").verify()
    assert KEY not in str(stopped.value)


def test_an_unknown_model_is_said_with_those_there_are(scripted_server: ScriptedServer) -> None:
    scripted_server.know_models("small", "large")
    with pytest.raises(ModelNotFound, match="'smal'; it lists small"):
        make_block(base_url=scripted_server.base_url, model="smal").verify()


def test_nobody_listening_is_said_with_the_place() -> None:
    port = free_port()
    with pytest.raises(ProviderDown, match=f"127.0.0.1:{port}"):
        make_block(base_url=f"http://127.0.0.1:{port}/v1", model="m").verify()


def test_without_a_model_nothing_is_asked(scripted_server: ScriptedServer) -> None:
    with pytest.raises(InvalidInput, match="no model to verify"):
        make_block(base_url=scripted_server.base_url).verify()
    assert scripted_server.stats().requests == 0
