"""The event-stream parser, fed in every way that a network can cut a stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.engines.sse import MOST_EVENT_BYTES, EventTooLongError, SseParser


def parse(*parts: bytes) -> list[bytes]:
    parser = SseParser()
    return [event for part in parts for event in parser.feed(part)] + parser.close()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_lines_of_every_kind_cut_anywhere(end: bytes) -> None:
    lines = ["data: {é☃}", "", ": ping", "", "event: x", "data:two", "data: lines", "id: 4", "", "", "data: [DONE]", ""]
    stream = end.join(line.encode() for line in lines) + end
    wanted = ["{é☃}".encode(), b"two\nlines", b"[DONE]"]
    assert parse(*(bytes([byte]) for byte in stream)) == wanted
    for cut in range(len(stream)):
        assert parse(stream[:cut], stream[cut:]) == wanted


@given(st.lists(st.text(st.characters(exclude_characters="\r\n"), min_size=1), max_size=5), st.data())
def test_what_is_sent_comes_out(texts: list[str], data: st.DataObject) -> None:
    payloads = [text.encode() for text in texts]
    stream = b"".join(b"data: %s\n\n" % payload for payload in payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    edges = [0, *cuts, len(stream)]
    assert parse(*(stream[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True))) == payloads


def test_event_without_its_empty_line_at_the_end_is_not_lost() -> None:
    assert parse(b"data: a\n\ndata: [DONE]") == [b"a", b"[DONE]"]


def test_byte_order_mark_and_fields_without_data_are_passed_over() -> None:
    assert parse(b"\xef\xbb\xbfdata: a\n\n", b"retry: 10\n\n", b"database: no\n\n", b"\n\n") == [b"a"]


def test_data_field_without_value_is_an_empty_line() -> None:
    assert parse(b"data\ndata: b\n\n") == [b"\nb"]


def test_only_one_blank_is_taken_off() -> None:
    assert parse(b"data:  a \n\n") == [b" a "]


@pytest.mark.parametrize("line", [b"data: x", b"data: xxxxxxx\n"], ids=["no end of line", "no end of event"])
def test_stream_that_never_ends_an_event_is_given_up(line: bytes) -> None:
    parser = SseParser()
    part = (line * (2**20 // len(line) + 1))[: 2**20] if line.endswith(b"\n") else b"x" * 2**20
    with pytest.raises(EventTooLongError):
        for _ in range(MOST_EVENT_BYTES // 2**19):
            parser.feed(part)
