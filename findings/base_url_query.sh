#!/usr/bin/env bash
# What:      an API version in the query of `base_url`, as Azure-style gateways write it
# Version:   openai 3.57.0, anthropic 2.14.0
# Guess:     the endpoint joins the path and the query stays behind it, or the client refuses such a base
# Behaviour: the endpoint is appended to the query: the server is asked for the base path alone, with api-version=1chat/completions
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check openai==3.57.0 anthropic==2.14.0

venv/bin/python - <<'PY'
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import openai

targets = []


class Refusal(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        targets.append(self.path)
        self.send_response(400)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
threading.Thread(target=server.serve_forever, daemon=True).start()
plain = f"http://127.0.0.1:{server.server_port}/gateway"
base = f"{plain}?api-version=1"


def asked_of(call, error):
    try:
        call()
    except error:
        return targets.pop()


chat = asked_of(
    lambda: openai.OpenAI(base_url=base, api_key="-").chat.completions.create(model="m", messages=[]),
    openai.BadRequestError,
)
messages = asked_of(
    lambda: anthropic.Anthropic(base_url=base, api_key="-").messages.create(model="m", max_tokens=1, messages=[]),
    anthropic.BadRequestError,
)
apart = openai.OpenAI(base_url=plain, default_query={"api-version": "1"}, api_key="-")
by_default_query = asked_of(lambda: apart.chat.completions.create(model="m", messages=[]), openai.BadRequestError)

print(f"openai {openai.__version__}, anthropic {anthropic.__version__}; base_url = .../gateway?api-version=1")
print("guessed:           /gateway/chat/completions?api-version=1")
print("openai asks:      ", chat)
print("anthropic asks:   ", messages)
print("by default_query: ", by_default_query)

assert chat == "/gateway/?api-version=1chat/completions"
assert messages == "/gateway?api-version=1/v1/messages"
assert by_default_query == "/gateway/chat/completions?api-version=1"
PY
