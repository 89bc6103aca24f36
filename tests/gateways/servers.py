"""Servers before the scripted server, nginx and haproxy: each in its process; tests skip those not installed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.gateways.certificates import Certificates
from tests.scripted_server.client import free_port

START_S = 10.0
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {chain}; ssl_certificate_key {key};
    client_max_body_size 2k;
    location / {{ proxy_pass http://127.0.0.1:{target}; proxy_read_timeout 1s; }}
    location /moved/ {{ return 301 https://elsewhere.example/v1/; }}
  }}
}}
"""
HAPROXY = """
defaults
  mode http
  retries 0
  timeout connect 1s
  timeout client 5s
  timeout server 1s
frontend entry
  bind 127.0.0.1:{port} ssl crt {both}
  default_backend models
backend models
  server one 127.0.0.1:{target}
"""


@contextmanager
def nginx(folder: Path, certificates: Certificates, target: int) -> Iterator[int]:
    """Run nginx with TLS before that port; gives its own."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(
        NGINX.format(folder=folder, port=port, target=target, chain=certificates.chain, key=certificates.key)
    )
    with _running([_installed("nginx"), "-c", str(config), "-p", str(folder), "-e", str(folder / "error.log")], port):
        yield port


@contextmanager
def haproxy(folder: Path, certificates: Certificates, target: int) -> Iterator[int]:
    """Run haproxy with TLS before that port; gives its own."""
    port, both, config = free_port(), folder / "both.pem", folder / "haproxy.cfg"
    both.write_bytes(certificates.chain.read_bytes() + certificates.key.read_bytes())
    config.write_text(HAPROXY.format(port=port, target=target, both=both))
    with _running([_installed("haproxy"), "-db", "-f", str(config)], port):
        yield port


def _installed(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port, process)
            yield
        finally:
            process.terminate()
            process.wait(START_S)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "it ended at once"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)  # nothing tells of a foreign process that it listens
        else:
            return
    raise TimeoutError(f"nothing listens at {port}")
