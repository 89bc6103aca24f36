"""What models write around JSON although they were asked for nothing else: a Markdown fence, thoughts, words.

Where a model's template opens <think> in the prompt already, the answer has only its end.
"""

from __future__ import annotations

import re

SHOWN_CHARACTERS = 60

_THOUGHTS = re.compile(r"\A\s*(?:<(think|thinking|reasoning)>)?.*?</(?:think|thinking|reasoning)>", re.DOTALL)
_FENCE = re.compile(r"\A\s*```[ \t]*[\w-]*[ \t]*\n?(.*?)(?:\n?[ \t]*```\s*)?\Z", re.DOTALL)
_JSON = re.compile(r"\A\s*[\[{]")


def unwrapped(text: str) -> str:
    """The text without a byte order mark, a <think> block before it and a Markdown fence around it."""
    text = text.removeprefix("\ufeff")
    if not _JSON.match(text):
        text = _THOUGHTS.sub("", text, count=1)
    fenced = _FENCE.match(text)
    return text if fenced is None else fenced[1]


def wrapping_of(text: str) -> str:
    """How a text that is no JSON begins and what that is, as the end of a sentence; empty where it begins as JSON."""
    if not text.strip() or _JSON.match(text):
        return ""
    if _THOUGHTS.match(text) or text.lstrip().startswith("<think"):
        what = ", a block of thoughts: lenient_json takes it off"
    elif _FENCE.match(text):
        what = ", a Markdown fence: lenient_json takes it off"
    else:
        what = ""
    return f"; it begins with {text[:SHOWN_CHARACTERS]!r}{what}"
