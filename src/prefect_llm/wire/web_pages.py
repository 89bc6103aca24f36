"""Web pages that answer in an API's place: a gateway's error, a firewall's block."""

from __future__ import annotations

import re

# all of these take time in proportion to the text, whatever it is: it comes from anybody
_COMMENT = rb"(?><!--.*?-->)"
_PAGE = re.compile(
    rb"\s*+(\xef\xbb\xbf)?\s*+(" + _COMMENT + rb"\s*+)*+<(!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL
)
_CLOUDFLARE = re.compile(rb"\s*error code: 1\d{3}\s*")
"""Cloudflare's page for clients that are no browsers."""
_HEAD, _HEAD_END = re.compile(r"<head\b", re.IGNORECASE), re.compile("</head>", re.IGNORECASE)
_TITLE = re.compile(r"<title\b[^<>]*>([^<]*)", re.IGNORECASE)
_TAGS = re.compile(r"<(style|script)\b.*?(</\1>|\Z)|<!--.*?(-->|\Z)|<[^<>]*>", re.IGNORECASE | re.DOTALL)


def is_page(body: bytes) -> bool:
    """Whether the body is a page for people."""
    return _PAGE.match(body) is not None or _CLOUDFLARE.fullmatch(body) is not None


def shown(text: str) -> str:
    """What a page shows, its title once: in front, unless the page repeats it."""
    title = _TITLE.search(text)
    body = _without_tags(text if title is None else _without_head(text))
    name = "" if title is None else _without_tags(title[1])
    return body if name.lower() in body.lower() else f"{name} {body}".strip()


def _without_head(text: str) -> str:
    begin = _HEAD.search(text)
    end = None if begin is None else _HEAD_END.search(text, begin.end())
    return text if begin is None or end is None else f"{text[: begin.start()]} {text[end.end() :]}"


def _without_tags(text: str) -> str:
    return " ".join(_TAGS.sub(" ", text).split())
