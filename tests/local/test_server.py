"""The server answers as the recipe says, and no end of its parent leaves it behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from prefect_llm.local import LocalModel, local_model
from prefect_llm.values.errors import InvalidInput

SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["positive", "negative"]}},
    "required": ["label"],
    "additionalProperties": False,
}
PARENT = """
import sys
from prefect_llm.local import local_model
with local_model(slots=1, context_tokens_per_slot=2048) as model:
    print(model.base_url, model.api_key, flush=True)
    sys.stdin.read()
"""
DEADLINE_S = 30.0


def test_it_answers_a_chat_completion_that_keeps_to_its_schema(model: LocalModel) -> None:
    answer = ask(model, "The lamp is lovely, thank you!", **answer_format())

    assert answer.status_code == 200
    body = answer.json()
    assert body["model"] == model.model == "smollm2-135m-instruct"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert json.loads(body["choices"][0]["message"]["content"])["label"] in {"positive", "negative"}
    assert body["usage"]["prompt_tokens"] > 0


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_without_the_key_it_answers_401(model: LocalModel, headers: dict[str, str]) -> None:
    answer = httpx.post(f"{model.base_url}/chat/completions", json={}, headers=headers)

    assert answer.status_code == 401


def test_a_prompt_longer_than_a_slots_context_is_refused_with_400(model: LocalModel) -> None:
    answer = ask(model, "again and " * 1000)

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "exceed_context_size_error"


def test_it_listens_on_the_loopback_alone_and_keeps_its_key_out_of_its_repr(model: LocalModel) -> None:
    assert model.base_url.startswith("http://127.0.0.1:")
    assert model.base_url.endswith("/v1")
    assert model.api_key not in repr(model)


def test_leaving_the_context_leaves_no_process_and_no_open_port(weights: Path) -> None:
    script = (
        "import os\n"
        "from prefect_llm.local import local_model\n"
        "with local_model(slots=1, context_tokens_per_slot=512) as model: print(model.base_url)\n"
        "try: print(os.waitpid(-1, os.WNOHANG))\n"
        "except ChildProcessError: print('no child')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=DEADLINE_S, check=True
    )

    base_url, children = ended.stdout.splitlines()
    assert children == "no child"
    assert_port_is_free(base_url)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_server_ends_with_its_parent_whatever_ends_that(weights: Path, end: signal.Signals) -> None:
    with parent_process() as (parent, model):
        address = urlsplit(model.base_url)
        with socket.create_connection((str(address.hostname), int(address.port or 0)), DEADLINE_S) as witness:
            parent.send_signal(end)
            parent.wait(DEADLINE_S)
            closed = witness.recv(1) == b""

    assert closed
    assert_port_is_free(model.base_url)


def test_the_server_ends_with_its_killed_parent_in_the_middle_of_an_answer(weights: Path) -> None:
    with parent_process() as (parent, model):
        body = {**question(model, "Count to one thousand."), "max_tokens": 1900, "stream": True}
        with stream(model, body) as answer:
            pieces = answer.iter_raw()
            next(pieces)
            parent.kill()
            with pytest.raises(httpx.TransportError):
                list(pieces)

    assert_port_is_free(model.base_url)


def test_a_key_is_made_anew_at_every_start(weights: Path, model: LocalModel) -> None:
    with local_model(slots=1, context_tokens_per_slot=512) as other:
        assert other.api_key != model.api_key
        assert ask(other, "Hello").status_code == 200
        assert httpx.get(f"{other.base_url}/models", headers=bearer(model)).status_code == 401


def test_a_server_that_does_not_start_says_what_it_said(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"nope" * 100)

    with pytest.raises(InvalidInput, match=r"did not start \(exit 1\).*failed to load model"):
        enter(model_path=broken)


def test_a_server_that_takes_too_long_is_given_up(weights: Path) -> None:
    with pytest.raises(InvalidInput, match=r"did not start within 0\.001 s"):
        enter(start_timeout_s=0.001)


def test_a_model_path_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"there is no model file .*absent\.gguf"):
        enter(model_path=tmp_path / "absent.gguf")


def test_a_file_in_the_working_directory_is_not_imported_in_place_of_the_standard_library(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)

    with local_model(slots=1, context_tokens_per_slot=512) as started:
        assert ask(started, "Hello").status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="finds the server's process id in /proc")
def test_a_server_that_ended_by_itself_is_reported_on_leaving(
    weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with local_model(slots=1, context_tokens_per_slot=512):
        pid = newest_child()
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    assert "ended by itself (exit -9)" in caplog.text


def enter(**options: Any) -> None:
    with local_model(**options):
        pass


def question(model: LocalModel, text: str) -> dict[str, Any]:
    return {"model": model.model, "temperature": 0, "messages": [{"role": "user", "content": text}]}


def answer_format() -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}}


def bearer(model: LocalModel) -> dict[str, str]:
    return {"Authorization": f"Bearer {model.api_key}"}


def ask(model: LocalModel, text: str, **parameters: Any) -> httpx.Response:
    body = {**question(model, text), "max_tokens": 64, **parameters}
    return httpx.post(f"{model.base_url}/chat/completions", json=body, headers=bearer(model), timeout=DEADLINE_S)


@contextmanager
def stream(model: LocalModel, body: dict[str, Any]) -> Iterator[httpx.Response]:
    url = f"{model.base_url}/chat/completions"
    with httpx.stream("POST", url, json=body, headers=bearer(model), timeout=DEADLINE_S) as answer:
        yield answer


@contextmanager
def parent_process() -> Iterator[tuple[subprocess.Popen[str], LocalModel]]:
    """A Python process that holds a model open until it is ended."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        try:
            base_url, api_key = parent.stdout.readline().split()
            yield parent, LocalModel(base_url=base_url, api_key=api_key)
        finally:
            parent.kill()


def assert_port_is_free(base_url: str) -> None:
    """The kernel closes an ending process's sockets one by one: the listening one perhaps last."""
    address = urlsplit(base_url)
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=5) as late:
                late.recv(1)
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            continue
    pytest.fail(f"something still listens at {base_url}")


def newest_child() -> int:
    """As Linux lists them: in the order in which this thread started them."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return int(listed.split()[-1])
