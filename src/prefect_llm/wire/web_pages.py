"""Web pages that answer in an API's place: a gateway's error, a firewall's block."""

from __future__ import annotations

import re

_PAGE = re.compile(rb"\s*(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*<(!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL)
_CLOUDFLARE = re.compile(rb"\s*error code: 1\d{3}\s*")
"""Cloudflare's page for clients that are no browsers."""
_HEAD = re.compile(r"<head\b.*?</head>", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAGS = re.compile(r"<(style|script)\b.*?(</\1>|\Z)|<!--.*?-->|<[^>]*>", re.IGNORECASE | re.DOTALL)


def is_page(body: bytes) -> bool:
    """Whether the body is a page for people."""
    return _PAGE.match(body) is not None or _CLOUDFLARE.fullmatch(body) is not None


def shown(text: str) -> str:
    """What a page shows, its title once: in front, unless the page repeats it."""
    title = _TITLE.search(text)
    body = _without_tags(_HEAD.sub(" ", text) if title is not None else text)
    name = "" if title is None else _without_tags(title[1])
    return body if name.lower() in body.lower() else f"{name} {body}".strip()


def _without_tags(text: str) -> str:
    return " ".join(_TAGS.sub(" ", text).split())
