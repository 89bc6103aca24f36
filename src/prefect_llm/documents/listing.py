"""Which files a path, a folder, a glob or an fsspec URL stands for, in sorted path order.

A local folder is walked afresh each time rather than listed: a million files need no million paths in memory.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, BinaryIO, Literal, cast
from urllib.parse import urlsplit

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import infer_compression

from prefect_llm.documents.partitions import NO_PARTITIONS, Partitions
from prefect_llm.system.folders import store_errors
from prefect_llm.values.errors import InputAbsent, InvalidInput
from prefect_llm.values.formatting import first_listed

_SHOWN = 6
_MAGIC = re.compile(r"[*?\[]")
_VERSION_KEYS = (
    "ETag",
    "etag",
    "generation",
    "md5Hash",
    "mtime",
    "LastModified",
    "last_modified",
    "updated",
    "created",
)
# A local file name need not be UTF-8.
_BYTES = ("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file: `path` as its filesystem spells it, `relative` below the input, `name` for messages.

    `passed_over` says that it, or the folder it stands for (`relative` ends in "/"), is no part of any input: it is
    hidden, or a link to a folder.
    """

    path: str
    relative: str
    name: str
    details: Mapping[str, Any] | None = None
    passed_over: Literal["hidden", "link"] | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Files of an input that are no documents, and one of them; `what` says which (".pdf files")."""

    what: str
    files: int
    example: str


@dataclass(frozen=True, slots=True)
class Location:
    """Where an input lies. `root` is the file, the folder, or the fixed part of the glob.

    `wanted` are the files to read of it, `partitions` the columns that its folders make, `left_out` the other files.
    """

    name: str
    filesystem: fsspec.AbstractFileSystem
    kind: Literal["file", "folder", "glob"]
    root: str
    pattern: str = ""
    wanted: Callable[[SourceFile], bool] = lambda file: True
    partitions: Partitions = NO_PARTITIONS
    left_out: tuple[LeftOut, ...] = ()

    def files(self) -> Iterator[SourceFile]:
        """The wanted files in sorted path order, without hidden ones and names that start with `_`."""
        return (file for file in self.everything() if file.passed_over is None and self.wanted(file))

    @property
    def is_local(self) -> bool:
        """Whether the files lie on this machine."""
        return isinstance(self.filesystem, LocalFileSystem)

    def open(self, file: SourceFile) -> BinaryIO:
        """The file's bytes, unpacked where its name says that it is compressed."""
        compression = infer_compression(file.name)
        return cast(BinaryIO, self.filesystem.open(file.path, "rb", compression=compression))

    def fingerprint(self) -> str:
        """A hash of every file's path, size and time (or the store's own version): no file is read."""
        digest = hashlib.sha256()
        for file in self.files():
            with reading(file.name):
                details = file.details or self.filesystem.info(file.path)
            digest.update(f"{file.relative}\0{details.get('size')}\0{_version(details)}\n".encode(*_BYTES))
        return digest.hexdigest()

    def everything(self) -> Iterator[SourceFile]:
        """All files, those that are passed over too; of a hidden local folder only the folder."""
        if self.kind == "file":
            base = self.root.rpartition("/")[2]
            return iter([SourceFile(self.root, base, self.name)])
        if self.kind == "glob":
            return self._matching()
        if self.is_local:
            return self._walk("")
        return self._found()

    def _walk(self, below: str) -> Iterator[SourceFile]:
        with reading(f"{self.name}/{below}".rstrip("/")), os.scandir(f"{self.root}/{below}") as entries:
            # A folder sorts as "name/": then a walk in this order is the order of the full paths.
            names = sorted(
                (entry.name + "/" * entry.is_dir(), entry.is_symlink())
                for entry in entries
                if entry.is_file() or entry.is_dir()
            )
        for name, is_link in names:
            path = f"{self.root}/{below}{name}"
            if _hidden(name):
                yield replace(self._file(path, None), passed_over="hidden")
            elif not name.endswith("/"):
                yield self._file(path, None)
            elif is_link:
                yield replace(self._file(path, None), passed_over="link")
            else:
                yield from self._walk(f"{below}{name}")

    def _found(self) -> Iterator[SourceFile]:
        with reading(self.name):
            found = self.filesystem.find(self.root, detail=True)
        for path in sorted(found):
            if found[path].get("type") != "directory":
                file = self._file(path, found[path])
                yield replace(file, passed_over="hidden") if _any_hidden(file.relative) else file

    def _matching(self) -> Iterator[SourceFile]:
        with reading(self.name):
            matches = dict(self.filesystem.glob(self.pattern, detail=True))
            for path, details in list(matches.items()):
                if details.get("type") == "directory":
                    del matches[path]
                    matches.update(self.filesystem.find(path, detail=True))
        # "_staging/*.csv" names the folder on purpose; "**" that comes across one does not.
        asked_for = _any_hidden(self.pattern[len(self.root) :].lstrip("/"))
        for path in sorted(matches):
            file = self._file(path, matches[path])
            is_hidden = _any_hidden(file.relative) and not asked_for
            yield replace(file, passed_over="hidden") if is_hidden else file

    def _file(self, path: str, details: Mapping[str, Any] | None) -> SourceFile:
        relative = path[len(self.root) :].lstrip("/")
        shown = self.name if self.kind == "folder" else _fixed(self.name)
        return SourceFile(path, relative, f"{shown.rstrip('/')}/{relative}" if shown else relative, details)


class LocatedSource:
    """A source that is the files of a location."""

    def __init__(self, location: Location) -> None:
        self.name = location.name
        self.left_out = location.left_out
        self._location = location

    def fingerprint(self) -> str:
        """A hash of paths, sizes and times."""
        return self._location.fingerprint()


def locate(input: str) -> Location:
    """Where `input` lies; `InvalidInput` where nothing is there or the store cannot be reached."""
    name = _without_secrets(input)
    try:
        filesystem, path = fsspec.core.url_to_fs(input)
    except (ImportError, ValueError) as error:
        raise InvalidInput(
            f'the input "{name}" cannot be opened ({error}): install the store\'s package or correct the URL.'
        ) from error

    # A process that lives for days would otherwise see its first listing of a store for ever.
    filesystem.invalidate_cache()
    kind = _kind(filesystem, path, name)
    if kind == "directory":
        return Location(name, filesystem, "folder", path.rstrip("/"))
    if kind is not None:
        return Location(name, filesystem, "file", path)
    if _MAGIC.search(name):
        return Location(name, filesystem, "glob", _fixed(path), pattern=path)

    near = near_files(filesystem, path)
    raise InputAbsent(f'nothing was found at "{name}": check the path of the input{near}.')


def near_files(filesystem: fsspec.AbstractFileSystem, path: str) -> str:
    """The names beside a path that is not there which are most like its own: `; nearest: "a.csv"`."""
    folder, _, name = path.rpartition("/")
    try:
        beside = [str(each).rstrip("/").rpartition("/")[2] for each in filesystem.ls(folder, detail=False)]
    except _read_errors():
        return ""
    near = ", ".join(f'"{each}"' for each in get_close_matches(name, beside, n=3))
    return f"; nearest: {near}" if near else ""


def left_out_words(left_out: Sequence[LeftOut]) -> str:
    """What was left out of an input, and one example of each: `.pdf files (5, such as "a.pdf")`."""
    counts = (f"{each.files:,}, such as " if each.files > 1 else "" for each in left_out)
    said = [f'{each.what} ({count}"{each.example}")' for count, each in zip(counts, left_out, strict=True)]
    return first_listed(said, _SHOWN)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turns the failures of reading `name` into `InvalidInput`."""
    try:
        yield
    except _read_errors() as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InvalidInput(
            f'"{name}" cannot be read ({said or type(error).__name__}): check that it is there, whole, '
            "and readable with the credentials of this process."
        ) from error


def _kind(filesystem: fsspec.AbstractFileSystem, path: str, name: str) -> str | None:
    """What `path` is to its store; `exists` would take a refused credential for an absent file."""
    with reading(name):
        try:
            return cast(str, filesystem.info(path)["type"])
        except FileNotFoundError:
            return None


def _read_errors() -> tuple[type[Exception], ...]:
    return (OSError, EOFError, NotImplementedError, zlib.error, lzma.LZMAError, *store_errors())


def _version(details: Mapping[str, Any]) -> str:
    return next((str(details[key]) for key in _VERSION_KEYS if details.get(key) is not None), "")


def _fixed(pattern: str) -> str:
    """The folder part of a glob that holds no wildcard."""
    match = _MAGIC.search(pattern)
    return pattern[: match.start()].rpartition("/")[0] if match else pattern


def _hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _any_hidden(relative: str) -> bool:
    return any(_hidden(part) for part in relative.split("/"))


def _without_secrets(input: str) -> str:
    """The URL without user, password and query: it is written to messages and to the manifest."""
    if "://" not in input:
        return input
    parts = urlsplit(input)
    if parts.scheme in ("http", "https"):
        parts = parts._replace(query="", fragment="")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
