from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any


def test_a_folder_of_texts_has_relative_paths_as_ids_in_sorted_order(read: Any, write: Any) -> None:
    for name in ("b/x.txt", "b.txt", "b-c.md", "a/z/deep.md", "B.txt"):
        write(f"docs/{name}", f"text of {name}\r\n")
    write("docs/.git/config.txt", "hidden")
    write("docs/_draft.md", "hidden")
    write("docs/picture.png", b"\x89PNG")
    documents = read(write("docs/empty.txt", "").parent)
    assert documents.ids == ["B.txt", "a/z/deep.md", "b-c.md", "b.txt", "b/x.txt", "empty.txt"]
    assert documents.fields[0] == {"path": "B.txt", "text": "text of B.txt\r\n", "id": "B.txt"}
    assert documents.fields[-1]["text"] == ""
    assert documents.kept.column_names == ["path", "text"]


def test_only_paths_are_read_where_no_text_is_used(read: Any, write: Any) -> None:
    folder = write("docs/a.txt", b"\xff").parent
    documents = read(folder, keep=("path",), wanted=frozenset({"path"}))
    assert documents.fields == [{"path": "a.txt", "id": "a.txt"}]


def test_a_mark_is_dropped_and_compressed_texts_are_unpacked(read: Any, write: Any) -> None:
    write("docs/a.txt", "\ufeffmarked")
    documents = read(write("docs/b.txt.gz", gzip.compress(b"packed")).parent)
    assert [row["text"] for row in documents.fields] == ["marked", "packed"]
    assert documents.ids == ["a.txt", "b.txt.gz"]


def test_undecodable_bytes_are_refused_by_file(refused: Any, write: Any) -> None:
    write("docs/a.md", "fine")
    path = write("docs/b.md", b"caf\xe9")
    assert refused(path.parent).startswith(f'"{path}" is not UTF-8 text (byte 4)')


def test_more_files_than_are_fetched_at_once(read: Any, write: Any) -> None:
    for number in range(150):
        path = write(f"docs/{number:03d}.txt", str(number))
    documents = read(path.parent, chunk_rows=70)
    assert [row["text"] for row in documents.fields] == [str(number) for number in range(150)]
    assert documents.snapshot.chunks == 3


def test_a_single_text_file_is_one_document(read: Any, write: Any) -> None:
    assert read(write("note.md", "hello")).fields == [{"path": "note.md", "text": "hello", "id": "note.md"}]


def test_names_with_wildcards_are_read(read: Any, write: Any) -> None:
    write("docs/a[1].txt", "x")
    assert [row["text"] for row in read(write("docs/b*.txt", "y").parent).fields] == ["x", "y"]


def test_a_link_to_a_folder_above_is_not_followed(read: Any, write: Any) -> None:
    folder: Path = write("docs/a.txt", "x").parent
    (folder / "loop").symlink_to(folder)
    (folder / "b.txt").symlink_to(folder / "a.txt")
    assert read(folder).ids == ["a.txt", "b.txt"]
