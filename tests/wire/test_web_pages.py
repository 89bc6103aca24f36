"""Pages in an API's place: what they show, and that no body takes long to read."""

from __future__ import annotations

import time

import pytest

from prefect_llm.wire.web_pages import is_page, shown

LONG = 65_536


@pytest.mark.parametrize(
    "body",
    [
        b"<!doctype html><p>x",
        b"\xef\xbb\xbf <HTML lang='en'>",
        b"<!-- a --> <!-- b -->\n<html>",
        b"<!-- a --><!-- <p> --><!DOCTYPE  HTML>",
        b"error code: 1020",
    ],
)
def test_a_page_is_told_by_its_beginning(body: bytes) -> None:
    assert is_page(body)


@pytest.mark.parametrize("body", [b"", b"<error>", b"<!-- a -->{}", b"<!-- html", b'{"a": "<html>"}'])
def test_anything_else_is_none(body: bytes) -> None:
    assert not is_page(body)


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<html><head><title>No</title><style>p {}</style></head><body><p>Why</p></body></html>", "No Why"),
        ("<head><title>Cut off</title><script>let a", "Cut off"),
        ("a < b and b > c", "a c"),
        ("a < b", "a < b"),
        ("<p>Why<!-- never closed", "Why"),
    ],
)
def test_the_text_of_a_page_is_what_it_shows(page: str, text: str) -> None:
    assert shown(page) == text


@pytest.mark.parametrize(
    "piece", ["<", "<!--", "<!---->", "<a ", "<head ", "<title ", "<title>", "<script>", "</", " "]
)
def test_a_body_that_is_made_to_be_slow_is_read_at_once(piece: str) -> None:
    text = (piece * LONG)[:LONG]
    began = time.perf_counter()
    for body in (text, f"<title>x</title>{text}", f"{text}x"):
        is_page(body.encode())
        shown(body)
    assert time.perf_counter() - began < 1
