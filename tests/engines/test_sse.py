"""The event-stream parser, fed in every way that a network can cut a stream."""

from itertools import pairwise

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


LINE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1)


@given(st.lists(LINE, max_size=5), st.data())
def test_what_is_sent_comes_out(texts: list[str], data: st.DataObject) -> None:
    payloads = [text.encode() for text in texts]
    stream = b"".join(b"data: %s\n\n" % payload for payload in payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    edges = [0, *cuts, len(stream)]
    assert parse(*(stream[a:b] for a, b in pairwise(edges))) == payloads


def test_event_without_its_empty_line_at_the_end_is_not_lost() -> None:
    assert parse(b"data: a\n\ndata: [DONE]") == [b"a", b"[DONE]"]


def test_line_feed_after_a_cut_pair_counts() -> None:
    assert parse(b"data: a\r", b"\n", b"\n", b"data: b\n\n") == [b"a", b"b"]


def test_byte_order_mark_and_fields_without_data_are_passed_over() -> None:
    assert parse(b"\xef\xbb\xbfdata: a\n\n", b"retry: 10\n\n", b"database: no\n\n", b"\n\n") == [b"a"]


def test_data_field_without_value_is_an_empty_line() -> None:
    assert parse(b"data\ndata: b\n\n") == [b"\nb"]


def test_only_one_blank_is_taken_off() -> None:
    assert parse(b"data:  a \n\n") == [b" a "]


@pytest.mark.parametrize("part", [b"x" * 2**16, b"data: x\n" * 2**13], ids=["no end of line", "no end of event"])
def test_stream_that_never_ends_an_event_is_given_up(part: bytes) -> None:
    with pytest.raises(EventTooLongError):
        parse(*[part] * (2 * MOST_EVENT_BYTES // len(part)))


@pytest.mark.parametrize("empty", [b"data: \n\n", b"data:\n\n", b"data\n\n", b": ping\n\n", b"\n\n"])
def test_event_without_data_is_none(empty: bytes) -> None:
    parser = SseParser()
    assert parser.feed(empty) == []
    assert parser.feed(b"data: one\n\n" + empty + b"data: two\n\n") == [b"one", b"two"]


@given(st.lists(LINE, min_size=1, max_size=5))
def test_parts_of_one_event_each_come_out_as_lines(texts: list[str]) -> None:
    payloads = [text.encode() for text in texts]
    parser = SseParser()
    parser.feed(b": nothing yet\n\n")
    assert parser.as_lines([b"data: %s\n\n" % payload for payload in payloads]).split(b"\n") == payloads


@pytest.mark.parametrize(
    "parts",
    [
        [b"data: a\n\ndata: ", b"b\n\n"],
        [b"data: a\n\ndata: b\n\n", b""],
        [b"data: a\ndata: b\n\n", b"data: c\n\n"],
        [b"data: a\n", b"\ndata: b\n\n\n"],
        [b"data: a\n\n", b": ping\n\n"],
        [b"data: a\n\n", b"data:b\n\n"],
        [b"data: a\r\n\r\n", b"data: b\r\n\r\n"],
        [b"data: a\rdata: b\n\n", b"data: c\n\n"],
        [b"id: 1\n\n", b"data: b\n\n"],
    ],
    ids=["cut", "two in one", "two lines", "a part begins late", "comment", "no blank", "CR LF", "CR", "other field"],
)
def test_other_parts_are_left_to_the_parser(parts: list[bytes]) -> None:
    parser = SseParser()
    parser.feed(b": nothing yet\n\n")
    assert parser.as_lines(parts) == b""


@pytest.mark.parametrize("before", [b"", b"data: half", b"data: half\n", b": ping\r"])
def test_parts_behind_something_unfinished_are_left_to_the_parser(before: bytes) -> None:
    parser = SseParser()
    parser.feed(before)
    assert parser.as_lines([b"data: a\n\n", b"data: b\n\n"]) == b""
