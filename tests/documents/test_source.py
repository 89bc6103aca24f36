from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs
from moto.server import ThreadedMotoServer

from prefect_llm.documents import Staging, open_source, stage
from prefect_llm.system.folders import open_folder
from prefect_llm.values.errors import InvalidInput


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
    yield filesystem
    filesystem.store.clear()


def refusal(input: str) -> str:
    with pytest.raises(InvalidInput) as refused:
        open_source(input)
    return refused.value.message


def test_an_absent_path_is_refused(tmp_path: Path) -> None:
    assert refusal(str(tmp_path / "no.csv")) == (
        f'nothing was found at "{tmp_path}/no.csv": check the path of the input.'
    )


def test_an_unknown_extension_is_refused_with_the_known_ones(write: Any) -> None:
    path = write("a.xlsx", "x")
    assert refusal(str(path)).startswith(f'The extension of "{path}" cannot be read')
    assert ".jsonl" in refusal(str(path))
    assert ".jsonl" in refusal(str(write("a.parquet.gz", "x")))


def test_an_empty_folder_and_a_glob_without_match_are_refused(tmp_path: Path, write: Any) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no files" in refusal(str(tmp_path / "empty"))
    assert refusal(str(tmp_path / "*.csv")).startswith(f'No file matches "{tmp_path}/*.csv"')
    assert "None of the 1 files" in refusal(str(write("other/a.png", "x").parent))


def test_a_folder_of_mixed_kinds_is_refused_with_what_was_found(write: Any) -> None:
    write("in/README.md", "x")
    write("in/b.csv", "x")
    folder = write("in/a.csv", "x").parent
    sentence = refusal(str(folder))
    assert '1 text ("README.md")' in sentence
    assert '2 CSV ("a.csv")' in sentence


def test_a_glob_takes_what_matches_in_path_order(read: Any, write: Any, tmp_path: Path) -> None:
    write("in/b/2.csv", "id\nfour\n")
    write("in/a/2.csv", "id\ntwo\n")
    write("in/a/1.csv", "id\none\n")
    write("in/b/1.csv", "id\nthree\n")
    write("in/_tmp/1.csv", "id\nhidden\n")
    write("in/b/notes.md", "other")
    assert read(tmp_path / "in/*/[12].csv").ids == ["one", "two", "three", "four"]
    assert read(tmp_path / "in/**/2.csv").ids == ["two", "four"]
    assert read(tmp_path / "in/_tmp/*.csv").ids == ["hidden"]
    assert read(tmp_path / "in/_*/1.csv").ids == ["hidden"]
    assert read(tmp_path / "in/?/*.md").ids == ["b/notes.md"]


def test_a_glob_may_match_folders(read: Any, write: Any, tmp_path: Path) -> None:
    write("in/day=2/x.csv", "id\ntwo\n")
    write("in/day=1/x.csv", "id\none\n")
    assert read(tmp_path / "in/day=*").ids == ["one", "two"]


def test_a_name_with_wildcards_that_exists_is_that_file(read: Any, write: Any) -> None:
    assert read(write("a[1].csv", "id\nx\n")).ids == ["x"]


def test_the_fingerprint_changes_with_size_time_and_names(write: Any) -> None:
    path = write("in/a.csv", "id\nx\n")
    folder = str(path.parent)
    first = open_source(folder).fingerprint()
    assert open_source(folder).fingerprint() == first
    os.utime(path, ns=(1, 1))
    touched = open_source(folder).fingerprint()
    write("in/a.csv", "id\nxy\n")
    os.utime(path, ns=(1, 1))
    grown = open_source(folder).fingerprint()
    write("in/b.csv", "id\nz\n")
    added = open_source(folder).fingerprint()
    os.rename(path, path.with_name("aa.csv"))
    assert open_source(folder).fingerprint() != added
    os.rename(path.with_name("aa.csv"), path)
    write("in/readme.html", "is no part of the input")
    assert open_source(folder).fingerprint() == added
    assert len({first, touched, grown, added}) == 4


@pytest.mark.parametrize("pattern", ["memory://in", "memory://in/*", "memory://in/a.*"])
def test_an_fsspec_url_is_read_and_staged(memory: Any, read: Any, pattern: str) -> None:
    memory.pipe("/in/a.csv.gz" if pattern.endswith("a.*") else "/in/a.csv", b"")
    memory.rm("/in", recursive=True)
    memory.pipe("/in/a.csv", b"id,text\n1,x\n")
    assert read(pattern).fields == [{"id": "1", "text": "x"}]


def test_every_kind_can_lie_on_a_store(memory: Any, read: Any) -> None:
    with memory.open("/p/a.parquet", "wb") as file:
        pq.write_table(pa.table({"id": [1, 2]}), file)
    memory.pipe("/j/a.jsonl", b'{"id": "j"}\n')
    for number in range(70):
        memory.pipe(f"/t/deep/{number:02d}.md", b"text")
    memory.pipe("/t/_skipped/x.md", b"text")
    assert read("memory://p/a.parquet").ids == ["1", "2"]
    assert read("memory://j").ids == ["j"]
    assert read("memory://t").ids == [f"deep/{number:02d}.md" for number in range(70)]


def test_a_file_on_a_store_is_named_by_its_url(memory: Any, refused: Any) -> None:
    memory.pipe("/in/a.csv", b"id\n1\n")
    memory.pipe("/in/b.csv", b"id\n2\n1\n")
    assert 'row 1 of "memory://in/a.csv" and row 2 of "memory://in/b.csv"' in refused("memory://in")


def test_a_changed_object_changes_the_fingerprint(memory: Any) -> None:
    memory.pipe("/in/a.csv", b"id\n1\n")
    first = open_source("memory://in/a.csv").fingerprint()
    assert open_source("memory://in/a.csv").fingerprint() == first
    memory.pipe("/in/a.csv", b"id\n2\n")
    assert open_source("memory://in/a.csv").fingerprint() != first


def test_a_run_may_lie_on_a_store_too(memory: Any) -> None:
    folder = open_folder("memory://run")
    stage(open_source(pa.table({"id": ["a", "b"]})), Staging(chunk_rows=1), folder)
    assert folder.names("_run/input") == ["_run/input/chunk-00000.arrow", "_run/input/chunk-00001.arrow"]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[s3fs.S3FileSystem]:
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3fs.S3FileSystem.clear_instance_cache()
    filesystem = s3fs.S3FileSystem()
    filesystem.mkdir("bucket")
    yield filesystem
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_s3_is_read_listed_afresh_and_refused_without_credentials(
    s3: s3fs.S3FileSystem, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.pipe("bucket/docs/a.md", b"one")
    assert read("s3://bucket/docs").fields == [{"path": "a.md", "text": "one", "id": "a.md"}]
    s3fs.S3FileSystem(skip_instance_cache=True).pipe("bucket/docs/b.md", b"two")
    assert read("s3://bucket/docs").ids == ["a.md", "b.md"]
    assert refusal("s3://bucket/nothing").startswith('nothing was found at "s3://bucket/nothing"')
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    s3fs.S3FileSystem.clear_instance_cache()
    assert refusal("s3://bucket/docs").startswith('"s3://bucket/docs" cannot be read')


def test_an_unknown_store_is_refused() -> None:
    assert refusal("nowhere://x.csv").startswith('the input "nowhere://x.csv" cannot be opened')


def test_a_signed_url_is_named_without_its_signature() -> None:
    sentence = refusal("http://user:hunter2@127.0.0.1:9/a.csv?signature=s3cret")
    assert "http://127.0.0.1:9/a.csv" in sentence
    assert "s3cret" not in sentence
    assert "hunter2" not in sentence


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_refused_by_name(refused: Any, write: Any) -> None:
    path = write("a.csv", "id\n1\n")
    path.chmod(0)
    assert refused(path).startswith(f'"{path}" cannot be read (Permission denied)')


def test_a_file_that_vanishes_is_refused_by_name(write: Any, tmp_path: Path) -> None:
    path = write("in/a.csv", "id\n1\n")
    source = open_source(str(path))
    path.unlink()
    with pytest.raises(InvalidInput, match="cannot be read"):
        stage(source, Staging(), open_folder(str(tmp_path / "run")))


TABLE_LOGS = {
    "Delta": "_delta_log/00000000000000000000.json",
    "Iceberg": "metadata/v1.metadata.json",
    "Hudi": ".hoodie/hoodie.properties",
    "Lance": "_versions/1.manifest",
}


@pytest.mark.parametrize("kind", TABLE_LOGS)
@pytest.mark.parametrize(
    "input",
    ["t", "t/data", "t/data/day=1", "t/data/day=1/a.parquet", "t/data/*/*.parquet", "t/**/*.parquet", ".", "*"],
)
def test_a_kept_table_is_refused_by_name_wherever_its_log_lies(
    parquet: Any, write: Any, tmp_path: Path, kind: str, input: str
) -> None:
    parquet("in/t/data/day=1/a.parquet", {"id": [1]})
    write(f"in/t/{TABLE_LOGS[kind]}", "{}")
    sentence = refusal(str(tmp_path / "in" / input))
    assert f" {kind} table, whose files also hold deleted and replaced rows" in sentence
    assert "Parquet file outside it" in sentence


@pytest.mark.parametrize("input", ["memory://t", "memory://t/data", "memory://t/data/*.parquet"])
def test_a_kept_table_on_a_store_is_refused(memory: Any, input: str) -> None:
    with memory.open("/t/data/a.parquet", "wb") as file:
        pq.write_table(pa.table({"id": [1, 2]}), file)
    memory.pipe("/t/metadata/00001-x.metadata.json", b"{}")
    assert "an Iceberg table" in refusal(input)


@pytest.mark.parametrize("kind", TABLE_LOGS)
@pytest.mark.parametrize(("input", "verb"), [(".", "holds"), ("t", "is"), ("t/data", "belongs to")])
def test_where_the_table_lies_is_said(
    parquet: Any, write: Any, tmp_path: Path, kind: str, input: str, verb: str
) -> None:
    parquet("in/t/data/a.parquet", {"id": [1]})
    write(f"in/t/{TABLE_LOGS[kind]}", "{}")
    asked = str(tmp_path / "in" / input)
    where = "" if verb == "is" else f' "{tmp_path}/in/t",'
    assert refusal(asked).startswith(f'"{asked}" {verb}{where} a')


@pytest.mark.parametrize("input", ["_delta_log", "_delta_log/*.json", "metadata", "metadata/*.json"])
def test_the_log_itself_is_refused(parquet: Any, write: Any, tmp_path: Path, input: str) -> None:
    parquet("t/data/a.parquet", {"id": [1]})
    write(f"t/{TABLE_LOGS['Delta' if 'delta' in input else 'Iceberg']}", "{}")
    assert " table, whose files also hold deleted" in refusal(str(tmp_path / "t" / input))


def test_a_table_without_a_readable_file_is_named(write: Any) -> None:
    write("t.lance/data/x.lance", "x")
    folder = write("t.lance/_versions/1.manifest", "x").parents[1]
    assert f'"{folder}" is a Lance table' in refusal(str(folder))


def test_files_that_no_table_keeps_are_read_beside_its_log(read: Any, write: Any) -> None:
    write("in/_delta_log/0.json", "{}")
    assert read(write("in/a.csv", "id\nx\n")).ids == ["x"]


def test_what_is_left_out_is_counted_by_reason_and_said(
    read: Any, write: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        write(f"in/{number}.txt", "text")
        write(f"in/sub/{number}.PDF", "x")
    write("in/page.html", "x")
    write("in/LICENSE", "x")
    write("in/_draft.txt", "x")
    write("in/_old/1.txt", "x")
    write("in/_SUCCESS", "")
    write("in/.DS_Store", "")
    write("elsewhere/b.txt", "x")
    os.symlink(tmp_path / "elsewhere", tmp_path / "in/linked")
    documents = read(tmp_path / "in")
    assert documents.ids == ["0.txt", "1.txt", "2.txt"]
    assert {each.what: (each.files, each.example) for each in documents.snapshot.left_out} == {
        ".pdf files": (3, "sub/0.PDF"),
        ".html files": (1, "page.html"),
        "other files": (1, "LICENSE"),
        "files whose names start with _ or .": (1, "_draft.txt"),
        "folders whose names start with _ or .": (1, "_old/"),
        "links to folders": (1, "linked/"),
    }
    assert '.pdf files (3, such as "sub/0.PDF")' in caplog.text
    assert 'files whose names start with _ or . ("_draft.txt")' in caplog.text


def test_nothing_is_left_out_of_a_glob_but_what_it_names(read: Any, write: Any, tmp_path: Path) -> None:
    write("in/b.pdf", "x")
    write("in/_draft.txt", "x")
    write("in/a.txt", "x")
    assert read(tmp_path / "in/a*.txt").snapshot.left_out == ()
    assert [each.example for each in read(tmp_path / "in/*.txt").snapshot.left_out] == ["_draft.txt"]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt", "a.json"])
@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (lambda text: text.encode("utf-16"), "is not UTF-8 text but UTF-16: convert the file to UTF-8"),
        (lambda text: gzip.compress(text.encode()), "but compressed with gzip: give its name the ending .gz"),
        (lambda text: bz2.compress(text.encode()), "but compressed with bzip2: give its name the ending .bz2"),
        (lambda text: lzma.compress(text.encode()), "but compressed with xz: give its name the ending .xz"),
    ],
)
def test_what_is_no_utf8_text_is_named(refused: Any, write: Any, name: str, packed: Any, said: str) -> None:
    path = write(name, packed('{"id": "ä"}\n' * 3))
    assert refused(path).startswith(f'"{path}" ')
    assert said in refused(path)


def test_a_near_name_of_a_file_is_said(write: Any, tmp_path: Path) -> None:
    write("tickets.csv", "id\n1\n")
    write("data[1].csv", "id\n1\n")
    assert refusal(str(tmp_path / "tickts.csv")).endswith('check the path of the input; nearest: "tickets.csv".')
    sentence = refusal(str(tmp_path / "dat[1].csv"))
    assert 'for the sign itself write "[[]"' in sentence
    assert 'nearest: "data[1].csv"' in sentence


@pytest.mark.parametrize("name", ["ID", "Id", "custom_id", "_id"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_near_name_of_the_id_column_is_said(
    read: Any, write: Any, caplog: pytest.LogCaptureFixture, name: str, form: str
) -> None:
    text = f"{name},text\n7,x\n" if form == "csv" else f'{{"{name}": "7", "text": "x"}}\n'
    assert read(write(f"a.{form}", text)).ids == ["0"]
    assert f"give id_column {name} to use it" in caplog.text


@pytest.mark.parametrize("name", ["conversations", "prompt", "body"])
def test_a_column_that_may_hold_the_chats_is_named(refused: Any, write: Any, name: str) -> None:
    column = "body.messages" if name == "body" else name
    sentence = refused(write("a.jsonl", [f'{{"{name}": []}}']), needed=frozenset({"messages"}), sent="messages")
    assert sentence.endswith(f"For the conversations in it give messages_column {column}.")
