from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.exceptions import ObjectNotFound
from tests.blocks.making import make_block, make_price
from tests.prefect_server import PrefectServer

from prefect_llm import InvalidInput, LLMProvider
from prefect_llm.blocks import load_block

URL = "https://api.example.com/v1"
KEY = "sk-saved-block-key"
HEADER = "saved-header-secret"


def test_the_block_registers_by_the_documented_command(prefect_server: PrefectServer) -> None:
    command = [sys.executable, "-m", "prefect", "block", "register", "-m", "prefect_llm.blocks"]
    done = subprocess.run(
        command, env=prefect_server.environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "LLM Provider" in done.stdout
    with prefect_server.client() as client:
        registered = client.read_block_type_by_slug("llm-provider")
        assert registered.description == LLMProvider.get_description()
        with pytest.raises(ObjectNotFound):
            client.read_block_type_by_slug("model-price")


def test_a_saved_block_comes_back_with_its_secrets_prices_and_limits(prefect_server: PrefectServer) -> None:
    saved = make_block(
        base_url=URL,
        api_key=KEY,
        model="m",
        headers={"x-tenant": HEADER},
        concurrency=9,
        requests_per_minute=77,
        prices={"m": make_price(input="0.40", output="1.60", currency="EUR", date="2026-11-01")},
    )
    saved.save("saved-and-loaded")
    loaded = load_block("saved-and-loaded").get_provider()
    assert loaded == saved.get_provider()
    assert (loaded.api_key, loaded.headers) == (KEY, {"x-tenant": HEADER})
    assert loaded.prices["m"].input == Decimal("0.40")


def test_a_block_without_key_and_headers_comes_back_without_them(prefect_server: PrefectServer) -> None:
    make_block(base_url=URL).save("bare")
    loaded = load_block("bare").get_provider()
    assert (loaded.api_key, loaded.headers) == (None, {})


def test_the_server_keeps_secrets_encrypted_and_shows_them_masked(prefect_server: PrefectServer) -> None:
    make_block(base_url=URL, api_key=KEY, headers={"x-tenant": HEADER}).save("masked")
    assert prefect_server.rows_with("masked")
    assert prefect_server.rows_with(KEY) == []
    assert prefect_server.rows_with(HEADER) == []
    with prefect_server.client() as client:
        document = client.read_block_document_by_name("masked", "llm-provider", include_secrets=False)
    assert document.data["base_url"] == URL
    assert KEY not in str(document.data)
    assert HEADER not in str(document.data)


def test_a_missing_block_is_one_sentence_with_what_to_do(prefect_server: PrefectServer) -> None:
    with pytest.raises(InvalidInput) as refused:
        load_block("nobody-saved-this")
    assert str(refused.value) == (
        "no LLM Provider block named 'nobody-saved-this' is saved: create it in the Prefect UI under Blocks, "
        "or with LLMProvider(...).save()"
    )


def test_a_block_that_is_no_longer_valid_is_one_sentence_with_what_to_do(prefect_server: PrefectServer) -> None:
    make_block(base_url=URL).save("outdated")
    with prefect_server.client() as client:
        document = client.read_block_document_by_name("outdated", "llm-provider")
        client.update_block_document(document.id, BlockDocumentUpdate(data={"concurrency": 0}))
    with pytest.raises(
        InvalidInput, match=r"'outdated' has settings that are not valid \(concurrency: .* equal to 1\): open it"
    ):
        load_block("outdated")
