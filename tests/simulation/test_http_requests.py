"""Whole requests out of bytes that arrive in pieces of any size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulation.simulating import chunked, request

from prefect_llm.simulation import http_requests
from prefect_llm.simulation.http_requests import MalformedRequest, RequestReader

BODIES = st.binary(max_size=300)


@given(
    st.lists(
        st.one_of(
            st.tuples(BODIES, st.none()),
            st.tuples(BODIES, st.lists(st.integers(1, 50), max_size=5)),
        ),
        max_size=4,
    ),
    st.lists(st.integers(1, 200), max_size=40),
)
def test_requests_come_out_whole_however_the_bytes_are_split(
    wanted: list[tuple[bytes, list[int] | None]], cuts: list[int]
) -> None:
    sent = b"".join(request(body) if sizes is None else chunked(body, sizes, b"x: y") for body, sizes in wanted)
    reader, read, start = RequestReader(), [], 0
    for cut in [*cuts, len(sent)]:
        reader.feed(sent[start : start + cut])
        start += cut
        while whole := reader.next_request():
            read.append(whole[1])
    assert read == [body for body, _ in wanted]


def test_the_head_tells_method_path_and_what_becomes_of_the_connection() -> None:
    reader = RequestReader()
    reader.feed(
        b"GET /stats?x=1 HTTP/1.1\r\nHost: h\r\nCONNECTION: Close\r\nauthorization: Bearer k \r\n\r\n"
        b"GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    )
    heads = [whole[0] for whole in iter(reader.next_request, None)]
    assert (heads[0].method, heads[0].path, heads[0].field("authorization")) == ("GET", "/stats", "Bearer k")
    assert [head.closes for head in heads] == [True, True, False, False]


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked_once() -> None:
    whole = request(b"{}", "Expect: 100-continue")
    reader = RequestReader()
    reader.feed(whole[:-2])
    assert reader.next_request() is None
    assert [reader.must_continue(), reader.must_continue()] == [True, False]
    reader.feed(whole[-2:])
    assert reader.next_request() is not None
    reader.feed(whole)
    assert reader.next_request() is not None
    assert not reader.must_continue()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 1_0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + b"1" * 2_000, 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nFFFFFFFF\r\n", 413),
        (b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (http_requests.MOST_BODY_BYTES + 1), 413),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * http_requests.MOST_HEAD_BYTES, 431),
    ],
)
def test_bytes_that_are_no_request_are_refused(sent: bytes, status: int) -> None:
    reader = RequestReader()
    reader.feed(sent)
    with pytest.raises(MalformedRequest) as refused:
        reader.next_request()
    assert refused.value.status == status
