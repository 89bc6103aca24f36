"""A chat endpoint that answers every POST after a fixed delay: `python instant_server.py DELAY_S`.

It prints its URL as one line and ends when standard input closes. One protocol object per connection and one
prepared answer keep it far cheaper than any client it is measured with.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import uvloop

COMPLETION = {
    "id": "chatcmpl-1",
    "model": "instant",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "y" * 700}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 250, "completion_tokens": 175, "total_tokens": 425},
}
BODY = json.dumps(COMPLETION).encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)


class InstantAnswers(asyncio.Protocol):
    """Counts request bytes only as far as needed to know where the next request begins."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._received = bytearray()
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection to write to."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._received[:end]).lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            if len(self._received) < end + 4 + length:
                return
            del self._received[: end + 4 + length]
            self._loop.call_later(self._delay_s, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER)


async def serve(delay_s: float) -> None:
    """Serve on a free port until standard input closes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: InstantAnswers(delay_s), "127.0.0.1", 0, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    uvloop.run(serve(float(sys.argv[1])))
