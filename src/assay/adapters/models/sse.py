"""Server-sent events, as vendors stream them: bytes in, the data of each record out."""

import re

_LINE_END = re.compile(rb"\r\n|\n|\r")


class RecordTooLarge(Exception):
    """A record is over the limit."""


class Records:
    """Splits a stream into its records. Comments, event names, ids and records without data are passed over: every
    vendor's data says itself what it is."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the records that end in this piece. Raises RecordTooLarge."""
        text = self._rest + piece
        held = b""
        if text.endswith(b"\r"):  # half of a line's end, perhaps
            text, held = text[:-1], b"\r"
        *lines, rest = _LINE_END.split(text)
        self._rest = rest + held
        found = [data for line in lines if (data := self._line(line)) is not None]
        if self._size + len(self._rest) > self._limit:
            raise RecordTooLarge
        return found

    def _line(self, line: bytes) -> bytes | None:
        """The data of the record that this line ends."""
        if not line:
            data, self._data, self._size = self._data, [], 0
            return b"\n".join(data) or None
        name, _, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
        if name == b"data":
            value = value.removeprefix(b" ")
            self._data.append(value)
            self._size += len(value)
            if self._size > self._limit:
                raise RecordTooLarge
        return None
