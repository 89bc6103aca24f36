"""An S3 server (moto) in a process of its own; inside the block this process and its children use it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import fsspec

_PROGRAM = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def s3_bucket(name: str) -> Iterator[str]:
    """The URL of an empty bucket."""
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdout is not None
        port = server.stdout.readline().decode().strip()
        try:
            if not port:
                raise RuntimeError("the S3 server did not start: it needs moto[server]")
            os.environ |= {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": "benchmarks",
                "AWS_SECRET_ACCESS_KEY": "benchmarks",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
            fsspec.filesystem("s3").mkdir(name)
            yield f"s3://{name}"
        finally:
            server.kill()
