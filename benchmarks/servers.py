"""How runs end against real servers that refuse: a LiteLLM proxy, nginx, haproxy and llama.cpp's server.

Behind proxies stands the tests' scripted server. Each case is one run of twenty documents by the command line; the
table has what the server answered to a plain request for the same, and how the run ended. `make servers` installs the
proxy into an environment of its own; a server that is not there is left out. `python benchmarks/servers.py WORD`
takes the servers whose name has that word.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from simulated import COMMAND
from tables import Table, heading

ROOT = Path(__file__).resolve().parent.parent
LITELLM = ROOT / ".venv-bench" / "servers" / "bin" / "litellm"
SCRIPTED_SERVER = ROOT / "tests" / "scripted_server" / "server.py"
STARTS_WITHIN_S, ANSWERS_WITHIN_S, ENDS_WITHIN_S = 60.0, 30.0, 45.0
DOCUMENTS, OUTPUT_TOKENS, PATIENCE_S = 20, 8, 3

Steps = Mapping[str, Any]
"""What the scripted server answers: fields of its `Step`, by document or `*`."""


@dataclass(frozen=True, slots=True)
class Case:
    """One run: what stands in the way, and how the run should end. Prices make a budget of LiteLLM's bite."""

    name: str
    expected: str
    steps: Steps = field(default_factory=dict)
    model: str = "m"
    key: str = "sk-fine"
    path: str = "/v1"
    options: tuple[str, ...] = ()
    long: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: `upstream` is the scripted server behind it, if there is one."""

    name: str
    url: str
    cases: tuple[Case, ...]
    upstream: str | None = None
    key: str | None = None
    model: str | None = None


def main() -> None:
    """Start each server, ask it, print a row per case."""
    heading("Servers that refuse", __doc__)
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    table = Table("server: case", "answered", "ended", "as it should")
    missed = 0
    for start in (litellm_proxy, litellm_with_keys, nginx, haproxy, llama_cpp):
        if wanted not in start.__name__:
            continue
        with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
            server = stack.enter_context(start(Path(folder)))
            for case in server.cases if server is not None else ():
                assert server is not None
                answered, ended = outcome(server, case, Path(folder))
                missed += ended != case.expected
                good = "yes" if ended == case.expected else f"no: {case.expected}"
                table.row(f"{server.name}: {case.name}", answered, ended, good)
    print(f"\n- runs that ended otherwise than they should: {missed}", flush=True)
    sys.exit(1 if missed else 0)


def outcome(server: Server, case: Case, folder: Path) -> tuple[str, str]:
    """The server's own answer, and what became of the run: the word it stopped for, or its failures by kind."""
    if server.upstream is not None:
        _call(server.upstream, "POST", "/_reset")
        _call(server.upstream, "POST", "/_script", {"documents": {name: [step] for name, step in case.steps.items()}})
    key, model = server.key or case.key, server.model or case.model
    texts = [f"doc-{number} hello" for number in range(DOCUMENTS)]
    if case.long:
        texts[0] += " hello" * 20_000

    documents, output = folder / f"{case.name}.jsonl", folder / f"{case.name} run"
    documents.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    command = [COMMAND, "run", documents, "--output", output, "--base-url", f"{server.url}{case.path}"]
    command += ["--model", model, "--prompt", "{{ text }}", "--api-key-env", "SERVER_KEY", "--json", "--quiet"]
    command += ["--concurrency", "4", "--outage-patience", str(PATIENCE_S), "--stop-error-share", "1"]
    command += ["--max-output-tokens", str(OUTPUT_TOKENS), *case.options]
    ended = _ended([str(part) for part in command], key)
    return _answer(f"{server.url}{case.path}", key, model, texts[0]), ended


def _ended(command: list[str], key: str) -> str:
    environ = os.environ | {"SERVER_KEY": key}
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=ENDS_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not in {ENDS_WITHIN_S:g} s"
    return _told(done)


def _told(ended: subprocess.CompletedProcess[str]) -> str:
    try:
        summary = json.loads(ended.stdout)
    except ValueError:
        return f"exit {ended.returncode}: {ended.stderr.strip()[-80:]}"
    if summary.get("stopped"):
        return str(summary["stopped"]["kind"])
    failed = {kind: count for kind, count in (summary.get("failed_by_kind") or {}).items() if count}
    return " ".join([f"{summary['ok']} ok", *(f"{count} {kind}" for kind, count in failed.items())])


def _answer(base_url: str, key: str, model: str, text: str) -> str:
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": OUTPUT_TOKENS,
    }
    try:
        status, told = _call(base_url, "POST", "/chat/completions", body, {"authorization": f"Bearer {key}"})
    except OSError as failure:
        return type(failure).__name__
    error = told.get("error") if isinstance(told, dict) else None
    words = [error.get(name) for name in ("type", "code", "param")] if isinstance(error, dict) else [error]
    return " ".join([str(status), *(str(word) for word in words if word is not None and str(word) != str(status))])


def said(status: int, message: str, **more: Any) -> dict[str, Any]:
    """A step: an error as OpenAI spells it."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None, **more}
    return {"status": status, "body": json.dumps({"error": error})}


OPENAI_TOO_LONG = said(
    400,
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    param="messages",
    code="context_length_exceeded",
)
ANTHROPIC_TOO_LONG = said(400, "prompt is too long: 213462 tokens > 200000 maximum")
NO_QUOTA = said(429, "You exceeded your current quota", type="insufficient_quota", code="insufficient_quota")
NO_MAX_TOKENS = said(
    400,
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    code="unsupported_parameter",
    param="max_tokens",
)

LITELLM_CASES = (
    Case("answers", "20 ok"),
    Case("unknown model", "ModelNotFound", model="zzz"),
    Case("wrong key, no database", "AuthenticationFailed", key="sk-wrong"),
    Case("provider's key wrong", "AuthenticationFailed", {"*": said(401, "no", code="invalid_api_key")}),
    Case("provider has no such model", "ModelNotFound", {"*": said(404, "no", code="model_not_found")}),
    Case("too long, OpenAI's", "19 ok 1 context_too_long", {"doc-0": OPENAI_TOO_LONG}),
    Case("too long, Anthropic's", "19 ok 1 context_too_long", {"doc-0": ANTHROPIC_TOO_LONG}),
    Case("empty account, 429", "LimitReached", {"*": NO_QUOTA}),
    Case("empty account, 402", "AccountExhausted", {"*": said(402, "Insufficient Balance")}),
    Case(
        "temperature refused",
        "RequestRefused",
        {"*": said(400, "no", param="temperature")},
        options=("--temperature", "0"),
    ),
    Case("max_tokens refused", "RequestRefused", {"*": NO_MAX_TOKENS}),
    Case("no path", "EndpointNotFound", path="/v2"),
)
LITELLM_KEY_CASES = (
    Case("no budget left for the key", "AccountExhausted", key="sk-poor"),
    Case("no budget left for the model", "LimitReached", model="capped"),
)
NGINX_CASES = (
    Case("answers", "20 ok"),
    Case("one body too large", "19 ok 1 rejected", long=True),
    Case("nothing behind it", "ProviderDown", path="/down/v1"),
    Case("a page that forbids", "EndpointNotFound", path="/forbidden/v1"),
)
HAPROXY_CASES = (Case("answers", "20 ok"), Case("no server is up", "ProviderDown", path="/down/v1"))
LLAMA_CASES = (
    Case("answers", "20 ok"),
    Case("one context too long", "19 ok 1 context_too_long", long=True),
    Case("unknown path", "EndpointNotFound", path="/v9"),
)

_LITELLM_CONFIG = """
model_list:
  - model_name: m
    litellm_params: &m
      {{model: openai/m, api_base: {upstream}/v1, api_key: up, input_cost_per_token: 0.1, output_cost_per_token: 0.1}}
  - model_name: capped
    litellm_params: {{<<: *m, max_budget: 0.0000001, budget_duration: 1d}}
litellm_settings: {{num_retries: 0, telemetry: false}}
router_settings: {{num_retries: 0, disable_cooldowns: true}}
general_settings: {{{general}}}
"""
_KEYS = """
from litellm.proxy._types import UserAPIKeyAuth
async def keys(request, api_key):
    name = api_key.rpartition("-")[2]
    limits = {"max_budget": 1.0, "spend": 2.0} if name == "poor" else {}
    return UserAPIKeyAuth(api_key=api_key, token=api_key, **limits)
"""


@contextmanager
def litellm_proxy(folder: Path) -> Iterator[Server | None]:
    """With a master key and no database."""
    key = f"sk-{os.urandom(20).hex()}"
    with _litellm(folder, f"master_key: {key}") as found:
        cases = tuple(
            Case(**{**_fields(case), "key": key}) if case.key == "sk-fine" else case for case in LITELLM_CASES
        )
        yield None if found is None else Server("LiteLLM 1.110.2", found[0], cases, found[1])


@contextmanager
def litellm_with_keys(folder: Path) -> Iterator[Server | None]:
    """With keys that may have a budget."""
    (folder / "keys.py").write_text(_KEYS)
    master = f"master_key: sk-{os.urandom(20).hex()}"
    with _litellm(folder, f"{master}, custom_auth: keys.keys, custom_auth_run_common_checks: true") as found:
        yield None if found is None else Server("LiteLLM 1.110.2", found[0], LITELLM_KEY_CASES, found[1])


def _fields(case: Case) -> dict[str, Any]:
    return {name: getattr(case, name) for name in Case.__slots__}


@contextmanager
def _litellm(folder: Path, general: str) -> Iterator[tuple[str, str] | None]:
    if not LITELLM.exists():
        yield None
        return
    with _scripted_server() as upstream:
        config, port = folder / "config.yaml", _free_port()
        config.write_text(_LITELLM_CONFIG.format(upstream=upstream, general=general))
        environ = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
        command = [LITELLM, "--config", config, "--host", "127.0.0.1", "--port", str(port)]
        url = f"http://127.0.0.1:{port}"
        with _process(command, url, "/health/liveliness", environ, folder):
            yield url, upstream


_NGINX_CONFIG = """
daemon off; pid nginx.pid; error_log stderr crit;
events {{}}
http {{
  access_log off; client_max_body_size 64k;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  server {{
    listen 127.0.0.1:{port};
    location /v1/ {{ proxy_pass {upstream}; }}
    location /down/ {{ proxy_pass http://127.0.0.1:9; }}
    location /forbidden/ {{ return 403; }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path) -> Iterator[Server | None]:
    """With bodies of at most 64 kB."""
    if (program := shutil.which("nginx")) is None:
        yield None
        return
    with _scripted_server() as upstream:
        config, port = folder / "nginx.conf", _free_port()
        config.write_text(_NGINX_CONFIG.format(port=port, upstream=upstream))
        url = f"http://127.0.0.1:{port}"
        with _process([program, "-p", folder, "-c", config], url, "/v1/models", None, folder):
            yield Server("nginx", url, NGINX_CASES, upstream)


_HAPROXY_CONFIG = """
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
frontend in
  bind 127.0.0.1:{port}
  use_backend down if {{ path_beg /down/ }}
  default_backend up
backend up
  server one {upstream}
backend down
"""


@contextmanager
def haproxy(folder: Path) -> Iterator[Server | None]:
    """With a backend that has no server."""
    if (program := shutil.which("haproxy")) is None:
        yield None
        return
    with _scripted_server() as upstream:
        config, port = folder / "haproxy.cfg", _free_port()
        config.write_text(_HAPROXY_CONFIG.format(port=port, upstream=urlsplit(upstream).netloc))
        url = f"http://127.0.0.1:{port}"
        with _process([program, "-db", "-f", config], url, "/v1/models", None, folder):
            yield Server("haproxy", url, HAPROXY_CASES, upstream)


@contextmanager
def llama_cpp(folder: Path) -> Iterator[Server | None]:
    """The demo's model."""
    from prefect_llm.local.server import local_model
    from prefect_llm.values.errors import InvalidInput

    with ExitStack() as stack:
        try:
            model = stack.enter_context(local_model())
        except InvalidInput:
            yield None
            return
        url = model.base_url.removesuffix("/v1")
        yield Server("llama.cpp", url, LLAMA_CASES, key=model.api_key, model=model.model)


@contextmanager
def _scripted_server() -> Iterator[str]:
    command = [sys.executable, "-S", str(SCRIPTED_SERVER)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield str(json.loads(process.stdout.readline())["url"])
        finally:
            process.stdin.close()


@contextmanager
def _process(
    command: list[Any], url: str, path: str, environ: Mapping[str, str] | None, folder: Path
) -> Iterator[None]:
    """The server while the block runs, from when it answers on."""
    log = folder / "server.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [str(part) for part in command], env=environ, cwd=folder, stdout=output, stderr=output
        ) as process,
    ):
        try:
            until = time.monotonic() + STARTS_WITHIN_S
            while not _answers(url, path):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{command[0]} did not start: {log.read_text()[-500:]}")
                time.sleep(0.2)
            yield
        finally:
            process.terminate()


def _answers(url: str, path: str) -> bool:
    try:
        _call(url, "GET", path)
    except OSError:
        return False
    return True


def _call(
    url: str, method: str, path: str, content: Any = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=ANSWERS_WITHIN_S)
    try:
        body = None if content is None else json.dumps(content)
        connection.request(method, parts.path + path, body, {"content-type": "application/json", **(headers or {})})
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
