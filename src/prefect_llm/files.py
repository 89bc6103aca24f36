"""Reading and writing whole files, on a local disk or on any fsspec store.

Every write is all or nothing: a temp file and a rename on a local disk, one PUT on an object store.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Protocol, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem


class Folder(Protocol):
    """One directory of whole files; names are relative, with `/` between the parts."""

    url: str

    def read(self, name: str) -> bytes:
        """The whole file; `FileNotFoundError` where there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Create or replace the file: a reader sees the old one or the new one, never half of either."""

    def names(self, prefix: str = "") -> list[str]:
        """The files below `prefix`, sorted; an absent folder has none."""

    def remove(self, name: str) -> None:
        """Delete the file; an absent one is no error."""


def open_folder(url: str) -> Folder:
    """The folder at a local path or an fsspec URL (`s3://bucket/run`, `memory://run`). Creates nothing."""
    filesystem, root = fsspec.core.url_to_fs(url)
    if isinstance(filesystem, LocalFileSystem):
        return LocalFolder(Path(root))
    return RemoteFolder(url.rstrip("/"), filesystem, root.rstrip("/"))


class LocalFolder:
    """A directory on this machine's disk; temps lie in `_run/tmp`, on the same filesystem."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = str(path)

    def read(self, name: str) -> bytes:
        """The whole file."""
        return (self.path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Temp file, fsync, rename, fsync of the directory: survives a power cut."""
        target = self.path / name
        temporary = self.path / "_run" / "tmp" / f"{uuid.uuid4().hex}-{target.name}"
        temporary.parent.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(target.parent)

    def names(self, prefix: str = "") -> list[str]:
        """The files below `prefix`, sorted."""
        start = self.path / prefix
        found = (Path(folder, file) for folder, _, files in os.walk(start) for file in files)
        return sorted(path.relative_to(self.path).as_posix() for path in found)

    def remove(self, name: str) -> None:
        """Delete the file."""
        (self.path / name).unlink(missing_ok=True)


class RemoteFolder:
    """A prefix of an fsspec store whose PUT is atomic."""

    def __init__(self, url: str, filesystem: fsspec.AbstractFileSystem, root: str) -> None:
        self.url = url
        self._filesystem = filesystem
        self._root = root

    def read(self, name: str) -> bytes:
        """The whole object."""
        return cast(bytes, self._filesystem.cat_file(f"{self._root}/{name}"))

    def write(self, name: str, content: bytes) -> None:
        """One PUT."""
        self._filesystem.pipe_file(f"{self._root}/{name}", content)

    def names(self, prefix: str = "") -> list[str]:
        """The objects below `prefix`, sorted, asked afresh: other workers write here too."""
        self._filesystem.invalidate_cache()
        found = self._filesystem.find(f"{self._root}/{prefix}".rstrip("/"))
        return sorted(path.removeprefix(f"{self._root}/") for path in found)

    def remove(self, name: str) -> None:
        """Delete the object."""
        if self._filesystem.exists(f"{self._root}/{name}"):
            self._filesystem.rm_file(f"{self._root}/{name}")


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
