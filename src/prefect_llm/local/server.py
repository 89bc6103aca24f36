"""A managed llama.cpp server: a child process on a free loopback port, for the demo and the tests.

The child ends when its standard input closes, so it never outlives this process, not even after `kill -9`. A forked
copy of this process keeps it alive, since it holds the pipe too.
"""

from __future__ import annotations

import json
import logging
import secrets
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from prefect_llm.local.weights import find_weights
from prefect_llm.values.errors import InvalidInput

MODEL = "smollm2-135m-instruct"

_STOP_TIMEOUT_S = 5.0
_TAIL_CHARACTERS = 600

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LocalModel:
    """Where the model answers. `base_url` includes `/v1`; `api_key` is new at every start."""

    base_url: str
    api_key: str = field(repr=False)
    model: str = MODEL


@contextmanager
def local_model(
    *,
    slots: int = 4,
    context_tokens_per_slot: int = 2048,
    model_path: Path | None = None,
    start_timeout_s: float = 60.0,
) -> Iterator[LocalModel]:
    """A running model server, stopped on leaving: `slots` requests at once, each with its own context.

    `model_path` is another `.gguf`; the model is then named after the file. Raises `InvalidInput` if xllamacpp or
    the weights are missing, or the server does not start.
    """
    weights = _weights(model_path)
    name = MODEL if model_path is None else weights.stem.lower()
    api_key = secrets.token_urlsafe(24)
    settings = {
        "model": name,
        "model_path": str(weights),
        "slots": slots,
        "context_tokens_per_slot": context_tokens_per_slot,
        "api_key": api_key,
    }

    with tempfile.TemporaryFile() as errors, _child(errors) as process:
        url = _start(process, settings, errors, start_timeout_s)
        try:
            yield LocalModel(base_url=f"{url}/v1", api_key=api_key, model=name)
        finally:
            if (code := process.poll()) is not None:
                _log.warning("the local model's server ended by itself (exit %d): %s", code, _tail(errors))


def _weights(model_path: Path | None) -> Path:
    if find_spec("xllamacpp") is None:
        raise InvalidInput(
            "the local model needs xllamacpp, which is not installed; run `pip install 'prefect-llm[local]'`"
        )
    if model_path is None:
        return find_weights()
    if not model_path.is_file():
        raise InvalidInput(f"there is no model file {model_path}; model_path must be a .gguf file")
    return model_path.absolute()


@contextmanager
def _child(errors: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The process; stopped and waited for at the end."""
    process = subprocess.Popen(
        # By path and with -P, so that neither the working directory nor this one is searched for modules.
        [sys.executable, "-P", str(Path(__file__).with_name("_child.py"))],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    try:
        yield process
    finally:
        process.stdin.close()
        process.stdout.close()
        _wait(process)


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _start(process: subprocess.Popen[bytes], settings: Mapping[str, Any], errors: IO[bytes], timeout_s: float) -> str:
    """The address, once the server is ready. The settings, including the key, go through the pipe only."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):  # It has died: the empty line below shows that.
        process.stdin.write(json.dumps(settings).encode() + b"\n")

    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(timeout_s):
            process.kill()
            raise InvalidInput(f"the local model did not start within {timeout_s:g} s; pass a longer start_timeout_s")

    line = process.stdout.readline()
    if not line:
        _wait(process)
        raise InvalidInput(
            f"the local model's server did not start (exit {process.returncode}); it said: {_tail(errors)}"
        )

    url: str = json.loads(line)["url"]
    return url


def _tail(errors: IO[bytes]) -> str:
    """The end of the child's standard error, on one line."""
    errors.seek(0)
    words = " ".join(errors.read().decode(errors="replace").split())
    return words[-_TAIL_CHARACTERS:] or "nothing"
