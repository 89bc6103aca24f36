"""Reading and writing whole files, on a local disk or on any fsspec store.

Every write is all or nothing: a temp file and a rename on a local disk, one PUT on an object store.
"""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from prefect_llm.values.errors import InvalidInput

# Errors of object stores that are not an OSError. Looked up only if fsspec has loaded the store's library.
_STORE_ERRORS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("gcsfs.retry", "HttpError"),
)


class Folder(Protocol):
    """A directory of whole files; names are relative and separated by `/`. All failures are `OSError`."""

    url: str

    def read(self, name: str) -> bytes:
        """The whole file; `FileNotFoundError` if there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Create or replace the file: a reader sees the old one or the new one, never a part of one."""

    def create(self, name: str, content: bytes) -> bool:
        """Create the file, whole; `False`, and nothing changed, if there is one already."""

    def names(self, prefix: str = "") -> list[str]:
        """The files below `prefix`, sorted; none for an absent folder."""

    def folders(self) -> list[str]:
        """The names of this folder's direct subfolders, sorted; `FileNotFoundError` if this folder is absent."""

    def remove(self, name: str) -> None:
        """Delete the file, if it exists."""

    def remove_below(self, prefix: str) -> int:
        """Delete the files below `prefix`, and its folder; returns the number of files."""


def open_folder(url: str) -> Folder:
    """The folder at a local path or an fsspec URL (`s3://bucket/run`, `memory://run`). Creates nothing.

    Raises `InvalidInput` for a URL of an unknown kind, or of a store whose package is not installed.
    """
    try:
        filesystem, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InvalidInput(
            f"{url} cannot be opened ({error}): install the store's package or correct the URL"
        ) from error
    if isinstance(filesystem, LocalFileSystem):
        return LocalFolder(Path(root))
    return RemoteFolder(url.rstrip("/"), filesystem, root.rstrip("/"))


def store_errors() -> tuple[type[Exception], ...]:
    """The errors of the loaded stores' libraries that are not an `OSError`."""
    loaded = [(sys.modules[module], name) for module, name in _STORE_ERRORS if module in sys.modules]
    return tuple(getattr(module, name) for module, name in loaded if hasattr(module, name))


class LocalFolder:
    """A directory on a local disk. Temporary files lie in `_run/tmp`, on the same file system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = str(path)

    def read(self, name: str) -> bytes:
        """The whole file."""
        return (self.path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Temp file, fsync, rename, fsync of the directory: survives a power failure."""
        target = self.path / name
        with self._temporary(target, content) as temporary:
            if not _appears_with_its_folder(temporary, target):
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(temporary, target)
        _sync_directory(target.parent)

    def create(self, name: str, content: bytes) -> bool:
        """Temp file, fsync, hard link, fsync of the directory: of two processes at once only one succeeds."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._temporary(target, content) as temporary:
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
        _sync_directory(target.parent)
        return True

    @contextmanager
    def _temporary(self, target: Path, content: bytes) -> Iterator[Path]:
        """A file with that content on the target's file system; removed at the end, unless it was moved."""
        temporary = self.path / "_run" / "tmp" / f"{uuid.uuid4().hex}-{target.name}"
        temporary.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def names(self, prefix: str = "") -> list[str]:
        """The files below `prefix`, sorted."""
        start = self.path / prefix
        found = (Path(folder, file) for folder, _, files in os.walk(start) for file in files)
        return sorted(path.relative_to(self.path).as_posix() for path in found)

    def folders(self) -> list[str]:
        """The names of the direct subfolders."""
        with os.scandir(self.path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())

    def remove(self, name: str) -> None:
        """Delete the file."""
        (self.path / name).unlink(missing_ok=True)

    def remove_below(self, prefix: str) -> int:
        """Delete the files and their folder."""
        count = len(self.names(prefix))
        if (self.path / prefix).exists():
            shutil.rmtree(self.path / prefix)
        return count


class RemoteFolder:
    """A prefix of an fsspec store whose PUT is atomic."""

    def __init__(self, url: str, filesystem: fsspec.AbstractFileSystem, root: str) -> None:
        self.url = url
        self._filesystem = filesystem
        self._root = root

    def read(self, name: str) -> bytes:
        """The whole object."""
        with _as_os_error():
            return cast(bytes, self._filesystem.cat_file(f"{self._root}/{name}"))

    def write(self, name: str, content: bytes) -> None:
        """One PUT."""
        with _as_os_error():
            self._filesystem.pipe_file(f"{self._root}/{name}", content)

    def create(self, name: str, content: bytes) -> bool:
        """One conditional PUT."""
        try:
            with _as_os_error():
                self._filesystem.pipe_file(f"{self._root}/{name}", content, mode="create")
        except FileExistsError:
            return False
        return True

    def names(self, prefix: str = "") -> list[str]:
        """The objects below `prefix`, sorted and never from the cache: other workers write here too."""
        self._filesystem.invalidate_cache()
        with _as_os_error():
            found = self._filesystem.find(f"{self._root}/{prefix}".rstrip("/"))
        return sorted(path.removeprefix(f"{self._root}/") for path in found)

    def folders(self) -> list[str]:
        """The names between this prefix and the next slash."""
        self._filesystem.invalidate_cache()
        with _as_os_error():
            found = self._filesystem.ls(self._root, detail=True)
        return sorted(each["name"].rstrip("/").rpartition("/")[2] for each in found if each["type"] == "directory")

    def remove(self, name: str) -> None:
        """Delete the object."""
        with _as_os_error():
            if self._filesystem.exists(f"{self._root}/{name}"):
                self._filesystem.rm_file(f"{self._root}/{name}")

    def remove_below(self, prefix: str) -> int:
        """Delete the objects, many per request if the store can."""
        names = self.names(prefix)
        with _as_os_error():
            if names:
                self._filesystem.rm([f"{self._root}/{name}" for name in names])
        return len(names)


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except store_errors() as error:
        raise OSError(str(error) or type(error).__name__) from error


def _appears_with_its_folder(temporary: Path, target: Path) -> bool:
    """Create the target's folder with the file in it, so that no reader finds it empty; `False` if it exists."""
    if target.parent.exists():
        return False

    target.parent.parent.mkdir(parents=True, exist_ok=True)
    folder = temporary.with_name(f"{temporary.name}.folder")
    folder.mkdir()

    try:
        os.replace(temporary, folder / target.name)
        _sync_directory(folder)
        os.rename(folder, target.parent)
    except OSError:  # another process was faster, and its folder is not empty
        os.replace(folder / target.name, temporary)
        folder.rmdir()
        return False

    _sync_directory(target.parent.parent)
    return True


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
