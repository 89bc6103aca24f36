"""JSON as endpoints really send it: with a byte order mark, bytes that are no UTF-8, half an emoji, raw line breaks.

Sound JSON is read by msgspec alone; only what msgspec refuses is read a second time, by the standard library.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, TypeVar

import msgspec

BYTE_ORDER_MARK = codecs.BOM_UTF8

_Shape = TypeVar("_Shape")
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Halves of characters beyond U+FFFF, but for those that stand for a byte that is no UTF-8, U+DC80 to U+DCFF."""


def read_json(data: bytes, decoder: msgspec.json.Decoder[_Shape]) -> _Shape:
    """The value that the decoder makes of the data.

    Its strings may hold halves of characters, whose other half may come in the next event: `whole` mends them.
    Raises msgspec's `ValidationError` for a value of another shape, its `DecodeError`, or `UnicodeDecodeError`, for
    what is no JSON, and `RecursionError`.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        try:
            told = _loads(data)
        except ValueError:
            raise error from None
        try:
            return msgspec.convert(told, decoder.type)
        except UnicodeEncodeError:  # a text of half a character where there is none to be
            raise msgspec.ValidationError("a text in another value's place") from None


def is_json(data: bytes) -> bool:
    """Whether `read_json` finds a value in it, of whatever shape."""
    try:
        _loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def sound_json(data: bytes) -> bytes:
    """The same value as every reader understands it; the data as it is where that is no JSON."""
    try:
        return json_of(_loads(data)).encode()
    except (ValueError, RecursionError):
        return data


def whole(text: str) -> str:
    """The text with its halves joined where two meet; U+FFFD for one that is alone."""
    try:
        text.encode()  # four times as fast as to look for halves
        return text
    except UnicodeEncodeError:
        pass
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return _NO_BYTE.sub("\ufffd", joined).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def json_of(value: Any) -> str:
    """A value that was read, as compact JSON without halves."""
    return whole(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _loads(data: bytes) -> Any:
    text = data.removeprefix(BYTE_ORDER_MARK).decode("utf-8", "surrogateescape")
    # NaN is no number of JSON's; msgspec takes no name with half a character
    return json.loads(text, strict=False, parse_constant=lambda _: None, object_pairs_hook=_named)


def _named(members: list[tuple[str, Any]]) -> dict[str, Any]:
    return {whole(name): value for name, value in members}
