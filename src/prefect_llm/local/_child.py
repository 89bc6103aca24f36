"""The process that holds the model: llama.cpp's own server, run as a script by `server.py`.

Standard input brings one JSON line of settings and is then the lifeline: its end is the parent's end. Standard
output carries one JSON line, the address, once the model is loaded and the port is bound.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

# Read by libgomp when xllamacpp loads it. By default idle threads spin: 9 tokens/s, against 30 with this, on a busy
# machine with 2 cores.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import xllamacpp

MAX_THREADS = 8
"""More do not make a model this small faster."""


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides.
    line = sys.stdin.buffer.readline()
    if not line:
        return  # The parent ended before it sent the settings.

    settings = json.loads(line)
    address = os.dup(1)
    os.dup2(2, 1)  # What native code prints must not be read as the address or fill the pipe.

    try:
        server = xllamacpp.Server(_parameters(settings))
    except RuntimeError as error:  # A bad model or too little memory: llama.cpp says which on standard error.
        sys.exit(str(error))

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    os.write(address, json.dumps({"url": server.listening_address}).encode() + b"\n")
    sys.stdin.buffer.read()
    os._exit(0)  # Not sys.exit: the server's destructor would wait for generations in flight.


def _parameters(settings: dict[str, Any]) -> Any:
    threads = min(os.cpu_count() or 1, MAX_THREADS)
    p = xllamacpp.CommonParams()
    p.model.path, p.model_alias = settings["model_path"], {settings["model"]}
    p.hostnames, p.port = ["127.0.0.1"], 0
    p.n_parallel = settings["slots"]
    p.n_ctx = settings["slots"] * settings["context_tokens_per_slot"]  # Divided among the slots.
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = threads
    p.n_threads_http = 64  # The default starves /health and /metrics under load.
    p.cache_ram_mib, p.verbosity = 0, 1
    p.ui, p.cors_origins, p.endpoint_metrics = False, "", True
    p.api_keys = [settings["api_key"]]
    return p


if __name__ == "__main__":
    main()
