"""What a file is whose name says that it is UTF-8 text, by its first bytes."""

from __future__ import annotations

_CONVERT = "convert the file to UTF-8, such as with iconv -f UTF-16 -t UTF-8"
_MAGIC_BYTES = {
    b"\xff\xfe": ("UTF-16", _CONVERT),
    b"\xfe\xff": ("UTF-16", _CONVERT),
    b"\x1f\x8b": ("compressed with gzip", "give its name the ending .gz"),
    b"BZh": ("compressed with bzip2", "give its name the ending .bz2"),
    b"\xfd7zXZ": ("compressed with xz", "give its name the ending .xz"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "unpack it"),
    b"PAR1": ("a Parquet file", "give its name the ending .parquet"),
}


def encoding_of(start: bytes) -> str | None:
    """What a file is that should be UTF-8 text, by its first bytes, and what to do; `None` where nothing is known."""
    for magic, (what, remedy) in _MAGIC_BYTES.items():
        if start.startswith(magic):
            return f"is not UTF-8 text but {what}: {remedy}"
    return f"is not UTF-8 text but UTF-16: {_CONVERT}" if b"\0" in start[:4] else None
