"""Server-sent events: bytes as they come in, the data of each event out."""

MOST_EVENT_BYTES = 2**24
"""A stream without an end of line must not fill the memory."""
_BEGIN, _END = b"data: ", b"\n\n"
_EMPTY_BYTES = len(b"data: \n\n")
_BOM = b"\xef\xbb\xbf"


class EventTooLongError(ValueError):
    """An event is longer than any answer."""


class SseParser:
    r"""Takes a stream apart, wherever the network cut it.

    Lines end in LF, CR LF or CR; an empty line ends an event; lines of one event's data are joined by LF. Comments
    and other fields are passed over. Data stays bytes, so that a character cut in two needs no care.

    Example:
        >>> parser = SseParser()
        >>> parser.feed(b"data: one\r"), parser.feed(b"\n\r\n: ping\n\ndata:two\n\n")
        ([], [b'one', b'two'])

    Source: WHATWG HTML, 9.2.6 "Interpreting an event stream".
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._length = 0
        self._is_first_line = True
        self._ends_in_cr = False

    def feed(self, part: bytes) -> list[bytes]:
        """Takes the next bytes of the stream; gives the data of the events that they end.

        Raises:
            EventTooLongError: an event is longer than MOST_EVENT_BYTES.
        """
        # One whole event, as nearly every part of a stream is; tens of thousands of them come in a second.
        is_one_line = part.startswith(b"data: ") and part.find(b"\n") == len(part) - 2 and part.endswith(b"\n")
        if is_one_line and not self._rest and not self._data and b"\r" not in part:
            self._is_first_line = self._ends_in_cr = False
            return [part[6:-2]] if len(part) > _EMPTY_BYTES else []
        if not part:
            return []
        if self._ends_in_cr and part.startswith(b"\n"):
            part = part[1:]  # the second half of a CR LF
        self._ends_in_cr = part.endswith(b"\r")
        # bytes.splitlines knows LF, CR and CR LF and, unlike that of str, nothing else.
        events: list[bytes] = []
        self._rest += part
        if b"\n" in part or b"\r" in part:  # or a long line would be looked through once for each of its parts
            lines = bytes(self._rest).splitlines(keepends=True)
            self._rest = bytearray() if lines[-1].endswith((b"\n", b"\r")) else bytearray(lines.pop())
            for line in lines:
                self._take(line.rstrip(b"\r\n"), events)
        if self._length + len(self._rest) > MOST_EVENT_BYTES:
            raise EventTooLongError(f"an event is longer than {MOST_EVENT_BYTES:,} bytes")
        return events

    def as_lines(self, parts: list[bytes]) -> bytes:
        """The data of parts that are one whole event each, a line for each; nothing where they are anything else.

        It is not taken: whoever makes use of it must not feed these parts.
        """
        if self._rest or self._data or self._is_first_line or self._ends_in_cr:
            return b""
        if not all(part.startswith(_BEGIN) and part.endswith(_END) for part in parts):
            return b""
        lines = b"".join([part[len(_BEGIN) : 1 - len(_END)] for part in parts])
        # No further end of a line in any of them, and none that is empty: that would not count as one.
        is_plain = lines.count(b"\n") == len(parts) and b"\r" not in lines and b"\n\n" not in lines
        return lines.removesuffix(b"\n") if is_plain and not lines.startswith(b"\n") else b""

    @property
    def is_in_event(self) -> bool:
        """Whether something of an event has come, but not its end."""
        return bool(self._rest or self._data)

    def close(self) -> list[bytes]:
        """The data of an event whose empty line is missing at the end of the stream; servers have been seen to."""
        events: list[bytes] = []
        if self._rest:
            self._take(bytes(self._rest), events)
            self._rest = bytearray()
        self._take(b"", events)
        return events

    def _take(self, line: bytes, events: list[bytes]) -> None:
        if self._is_first_line:
            line, self._is_first_line = line.removeprefix(_BOM), False
        if not line:
            if data := b"\n".join(self._data):  # servers send empty ones to keep a connection alive
                events.append(data)
            self._data, self._length = [], 0
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._length += len(line)
