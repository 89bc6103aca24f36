"""The scripted server as a process of its own: `python server.py [PORT]`.

Prints `{"url": ...}` on standard output and ends when standard input, a pipe, does: that is with its parent.
Stdlib only.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
from pathlib import Path

# A script's own folder is on the path; the tests' names need the project's.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.scripted_server.connection import Connection, Server  # noqa: E402

BACKLOG = 4096
OPEN_FILES = 20_000


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    # Ctrl-C reaches the whole process group; the tests still need their server while they end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _allow_open_files()
    asyncio.run(_serve(port))


def _allow_open_files() -> None:
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    shared = Server()
    listener = await loop.create_server(lambda: Connection(shared), "127.0.0.1", port, backlog=BACKLOG)
    address = listener.sockets[0].getsockname()
    print(json.dumps({"url": f"http://127.0.0.1:{address[1]}"}), flush=True)
    parent_gone = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), _notice_end, parent_gone)
    await parent_gone.wait()
    # Before the connections: who sees theirs end finds nobody listening any more.
    listener.close()


def _notice_end(parent_gone: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        parent_gone.set()


if __name__ == "__main__":
    main()
