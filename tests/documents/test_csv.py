from __future__ import annotations

import gzip
from typing import Any

import pytest


def test_cells_are_text_and_an_empty_cell_is_an_empty_string(read: Any, write: Any) -> None:
    documents = read(write("a.csv", 'id,n,when\n007,1.50,\n008,"",NA\n'))
    assert documents.ids == ["007", "008"]
    assert documents.fields == [
        {"id": "007", "n": "1.50", "when": ""},
        {"id": "008", "n": "", "when": "NA"},
    ]


def test_quoted_newlines_delimiters_and_quotes_stay_in_the_cell(read: Any, write: Any) -> None:
    documents = read(write("a.csv", 'text,"b ""x"""\n"one\ntwo, ""three""",4\r\n'))
    assert documents.fields == [{"text": 'one\ntwo, "three"', 'b "x"': "4", "id": "0"}]


def test_a_byte_order_mark_is_no_part_of_the_first_name(read: Any, write: Any) -> None:
    assert read(write("a.csv", "\ufeffid,text\n1,x\n")).fields == [{"id": "1", "text": "x"}]


@pytest.mark.parametrize("separator", [";", "|"])
def test_a_file_that_looks_separated_otherwise_is_refused_with_that(refused: Any, write: Any, separator: str) -> None:
    path = write("a.csv", f"id{separator}text\n1{separator}x\n")
    sentence = refused(path, needed=frozenset({"text"}))
    assert sentence.endswith(f"; the file looks separated by '{separator}': separate it by ','.")
    assert "looks separated" not in refused(write("b.csv", "id,te;xt\n1,x\n"), needed=frozenset({"text"}))


def test_a_file_of_tabs_that_is_called_csv_is_refused_with_the_name_it_needs(refused: Any, write: Any) -> None:
    sentence = refused(write("a.csv", "id\ttext\n1\tx\n"), needed=frozenset({"text"}))
    assert sentence.endswith("; the file looks separated by tabs: name it .tsv.")


def test_tsv_is_split_at_tabs(read: Any, write: Any) -> None:
    assert read(write("a.tsv", "id\ttext\n1\ta, b\n")).fields == [{"id": "1", "text": "a, b"}]


@pytest.mark.parametrize("name", ["a.csv.gz", "a.tsv.gz"])
def test_a_compressed_file_is_unpacked(read: Any, write: Any, name: str) -> None:
    content = "id,text\n1,x\n".replace(",", "\t" if "tsv" in name else ",")
    assert read(write(name, gzip.compress(content.encode()))).fields == [{"id": "1", "text": "x"}]


def test_files_with_other_headers_fill_the_gaps_with_null(read: Any, write: Any) -> None:
    write("in/a.csv", "id,x\n1,one\n")
    path = write("in/b.csv", "y,id\ntwo,2\n").parent
    documents = read(path)
    assert documents.ids == ["1", "2"]
    assert documents.fields == [{"id": "1", "x": "one", "y": None}, {"id": "2", "x": None, "y": "two"}]


def test_a_row_longer_than_a_block_is_read(read: Any, write: Any) -> None:
    long = "x" * 3_000_000
    rows = [f"{row},short" for row in range(50)]
    documents = read(write("a.csv", ["id,text", *rows, f"long,{long}", *(f"z{row}" for row in rows)]))
    assert documents.ids == [*map(str, range(50)), "long", *(f"z{row}" for row in range(50))]
    assert documents.fields[50]["text"] == long


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ('id,text\n1,x\n2,"a\nb"\n\n3\n', 'Row 3 (line 6) of "{path}" has 1 cells where the header has 2'),
        ("id,text\n1,x,y\n", 'Row 1 (line 2) of "{path}" has 3 cells where the header has 2'),
        ('id,text\n1,x\n2,"y\n3,z\n', 'Row 2 of "{path}" opens a quote that is never closed'),
        ('id,text\n1,x\n2,"y\n3,z', 'Row 2 of "{path}" opens a quote that is never closed'),
        ("id,text,id\n1,x,2\n", '"{path}" has two columns named "id"'),
        ("", '"{path}" is empty'),
        ("id,text\n", '"{path}" has no rows'),
        ("id,text\n1,x\n,y\n", 'Row 2 of "{path}": the id in column "id" is empty'),
        ("id,text\n1,x\n2,y\n1,z\n", 'the id "1" in column "id" is there twice: row 1 of "{path}" and row 3'),
    ],
)
def test_a_broken_file_is_refused_by_its_place(refused: Any, write: Any, content: str, where: str) -> None:
    path = write("a.csv", content)
    assert refused(path).startswith(where.format(path=path))


def test_a_last_cell_that_ends_in_a_quoted_newline_is_whole(read: Any, write: Any) -> None:
    assert read(write("a.csv", 'id,text\n1,"x\n"\n')).fields == [{"id": "1", "text": "x\n"}]


def test_a_late_ragged_row_is_named_after_many_blocks(refused: Any, write: Any) -> None:
    rows = [f"{row},{'x' * 100}" for row in range(40_000)]
    path = write("a.csv", ["id,text", *rows, "oops"])
    assert refused(path).startswith(f'Row 40001 (line 40002) of "{path}" has 1 cells')


def test_undecodable_bytes_are_refused_by_file_row_and_column(refused: Any, write: Any) -> None:
    write("in/a.csv", "id,text\n1,x\n")
    path = write("in/b.csv", b"id,text\n2,x\n3,\xe9t\xe9\n")
    sentence = refused(path.parent)
    assert sentence.startswith(f'Row 2 of "{path}": the column "text" is not UTF-8 text')


def test_an_undecodable_header_is_refused(refused: Any, write: Any) -> None:
    assert "is not UTF-8" in refused(write("a.csv", "id,té\n1,x\n".encode("latin-1")))
    assert "is not UTF-8" in refused(write("b.csv", "id,text\n1,x\n".encode("utf-16")))


def test_undecodable_bytes_in_a_column_nobody_uses_do_no_harm(read: Any, write: Any) -> None:
    path = write("a.csv", b"id,text,junk\n1,x,\xff\n")
    assert read(path, keep="none", wanted=frozenset({"text"})).fields == [{"text": "x"}]


def test_a_truncated_gzip_file_is_refused(refused: Any, write: Any) -> None:
    content = gzip.compress(b"id,text\n" + b"".join(b"%d,%d\n" % (n, n * 7919) for n in range(5_000)))
    path = write("a.csv.gz", content[:-3000])
    assert refused(path).startswith(f'"{path}" cannot be read')
