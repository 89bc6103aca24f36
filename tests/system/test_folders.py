"""Whole files on a local disk, in memory and on S3: every write is all or nothing."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest
import s3fs

from prefect_llm.system.folders import Folder, LocalFolder, RemoteFolder, open_folder
from prefect_llm.values.errors import InvalidInput


@pytest.fixture(params=["local", "memory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where nothing is yet."""
    if request.param == "local":
        return str(tmp_path / "run")
    if request.param == "memory":
        return f"memory://files-tests/{uuid.uuid4().hex}/run"
    return f"{request.getfixturevalue('bucket')}/run"


@pytest.fixture
def folder(url: str) -> Folder:
    return open_folder(url)


def test_an_absent_folder_holds_nothing_and_opening_it_creates_nothing(folder: Folder, url: str) -> None:
    assert (folder.url, folder.names(), folder.names("results/")) == (url, [], [])
    with pytest.raises(FileNotFoundError):
        folder.read("results/a")


def test_what_was_written_is_read_and_listed_by_its_name(folder: Folder) -> None:
    contents = {"a/b/c.txt": b"1", "a/b.txt": b"", "a.txt": b"\x00\xff" * 100_000, "b/with space.txt": b"3"}
    for name, content in contents.items():
        folder.write(name, content)
    assert {name: folder.read(name) for name in folder.names()} == contents
    assert folder.names() == sorted(contents)
    assert folder.names("a/") == ["a/b.txt", "a/b/c.txt"]
    assert folder.names("b/") == ["b/with space.txt"]


def test_a_folder_is_not_one_whose_name_begins_alike(folder: Folder, url: str) -> None:
    open_folder(f"{url}-2").write("results/x", b"other")
    open_folder(url).write("results-old/y", b"old")
    assert folder.names() == ["results-old/y"]
    assert folder.names("results/") == []


def test_a_second_write_replaces_the_first(folder: Folder) -> None:
    folder.write("a/b", b"one")
    folder.write("a/b", b"two!")
    assert (folder.read("a/b"), folder.names()) == (b"two!", ["a/b"])


def test_removing_is_complete_and_an_absent_file_is_no_error(folder: Folder) -> None:
    folder.write("a/b", b"one")
    folder.remove("a/b")
    folder.remove("a/b")
    folder.remove("never/there")
    assert folder.names() == []


def test_the_folders_right_below_are_listed(folder: Folder) -> None:
    with pytest.raises(FileNotFoundError):
        folder.folders()
    for name in ("b/x", "a/deep/y", "a/z", "file"):
        folder.write(name, b"")
    assert [name for name in folder.folders() if name != "_run"] == ["a", "b"]


def test_everything_below_a_name_is_removed_and_nothing_else(folder: Folder) -> None:
    for name in ("a/b/c", "a/b/d/e", "a/bc", "f"):
        folder.write(name, b"")
    assert folder.remove_below("a/b/") == 2
    assert folder.names() == ["a/bc", "f"]
    assert folder.remove_below("a/b/") == folder.remove_below("never/there/") == 0


def test_a_file_of_another_writer_is_seen_at_once(folder: Folder, url: str) -> None:
    folder.write("a/b", b"one")
    assert folder.names("a/") == ["a/b"]
    # As another process would: without the listings that this one's filesystem remembers.
    filesystem, root = fsspec.core.url_to_fs(url, skip_instance_cache=True)
    filesystem.pipe_file(f"{root}/a/c", b"two")
    assert (folder.names("a/"), folder.read("a/c")) == (["a/b", "a/c"], b"two")
    filesystem.pipe_file(f"{root}/a/c", b"three")
    assert folder.read("a/c") == b"three"


def test_readers_see_one_whole_content_or_the_other(folder: Folder) -> None:
    contents = [bytes([number]) * 200_000 for number in range(2)]
    folder.write("a", contents[0])
    ended = threading.Event()

    def read() -> int:
        reads = 0
        while not ended.is_set():
            assert folder.read("a") in contents
            reads += 1
        return reads

    with ThreadPoolExecutor() as pool:
        reading = [pool.submit(read) for _ in range(2)]
        try:
            for number in range(50):
                folder.write("a", contents[number % 2])
        finally:
            ended.set()
        assert all(each.result() for each in reading)
    assert folder.names() == ["a"]


def test_many_writers_of_one_folder_do_not_disturb_each_other(folder: Folder) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: folder.write(f"results/{number % 20}", b"x" * 1_000), range(100)))
    assert folder.names() == sorted(f"results/{number}" for number in range(20))


def test_a_failed_write_leaves_the_old_file_and_no_temp(tmp_path: Path) -> None:
    folder = open_folder(str(tmp_path))
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a").mkdir()
    (tmp_path / "results" / "a" / "inside").write_text("kept")
    with pytest.raises(OSError, match="results/a"):
        folder.write("results/a", b"new")
    assert folder.names() == ["results/a/inside"]
    assert not list((tmp_path / "_run" / "tmp").iterdir())


def test_a_local_folder_is_absolute_so_that_a_changed_working_directory_moves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = open_folder("run/one")
    assert folder.url == str(tmp_path / "run" / "one")
    monkeypatch.chdir("/")
    folder.write("a", b"1")
    assert (tmp_path / "run" / "one" / "a").read_bytes() == b"1"


@pytest.mark.parametrize("form", ["{path}", "file://{path}", "local://{path}"])
def test_every_spelling_of_a_local_path_is_local(tmp_path: Path, form: str) -> None:
    folder = open_folder(form.format(path=tmp_path / "run"))
    assert isinstance(folder, LocalFolder)
    assert folder.url == str(tmp_path / "run")


def test_a_slash_at_the_end_changes_nothing() -> None:
    folder = open_folder("memory://files-tests/slash/")
    assert isinstance(folder, RemoteFolder)
    folder.write("a", b"1")
    assert (folder.url, folder.names()) == ("memory://files-tests/slash", ["a"])
    folder.remove("a")


@pytest.mark.parametrize(
    ("url", "said"), [("nowhere://a/b", "Protocol not known: nowhere"), ("gs://a/b", "install gcsfs")]
)
def test_a_store_that_is_not_known_or_not_installed_is_refused(url: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^{url} cannot be opened \(.*{said}.*\): install the store's package"):
        open_folder(url)


def test_what_a_store_refuses_is_an_os_error(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    s3fs.S3FileSystem.clear_instance_cache()
    folder = open_folder(f"{bucket}/run")
    for ask in (folder.names, lambda: folder.read("a"), lambda: folder.write("a", b""), lambda: folder.remove("a")):
        with pytest.raises(OSError, match="credentials"):
            ask()


def test_a_bucket_that_is_not_there_is_an_os_error(bucket: str) -> None:
    with pytest.raises(OSError, match="does not exist"):
        open_folder(f"{bucket}-absent/run").write("a", b"")
