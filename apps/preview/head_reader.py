"""The head of a request, limited in bytes and lines before it is parsed."""

from __future__ import annotations

import re

from .asgi import BadRequestError

MOST_HEAD_BYTES = 16 << 10
_MOST_LINE_BYTES = 8 << 10
_MOST_FIELDS = 64

_END = re.compile(rb"\n\r?\n")
_LONGEST_END = 3
_REQUEST_LINE = re.compile(rb"[^\s]+ [^\s]+ HTTP/1\.[01]\r?\n")
# Servers differ on control characters and on continued lines; no browser sends either.
_ODD = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|\n[ \t]")
# Longer than the numbers that Python parses.
_ENDLESS_LENGTH = re.compile(rb"\ncontent-length:[ \t]*[0-9]{20}", re.IGNORECASE)


class HeadReader:
    """Collects the bytes of a head."""

    def __init__(self) -> None:
        self._data = bytearray()

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Adds bytes, and returns the whole head and the bytes after it; empty bytes until the head is whole.

        Raises:
            BadRequestError: it is too long, has too many lines, or is no head.
        """
        searched = max(0, len(self._data) - _LONGEST_END)
        room = MOST_HEAD_BYTES + 1 - len(self._data)
        self._data += data[:room]
        end = _END.search(self._data, searched)
        head = bytes(self._data if end is None else self._data[: end.end()])
        _check(head, whole=end is not None)
        if end is None:
            return b"", b""
        after = bytes(self._data[end.end() :]) + data[room:]
        self._data.clear()
        return head, after


def _check(head: bytes, whole: bool) -> None:
    if head[:1] <= b" ":  # without waiting for the end, which may never come, as with TLS
        raise BadRequestError(400, "expected HTTP/1.1")
    line_bytes = head.find(b"\n") + 1 or len(head)
    if line_bytes > _MOST_LINE_BYTES:
        raise BadRequestError(414, f"expected a request line of at most {_MOST_LINE_BYTES} bytes")
    if head.count(b"\n") > _MOST_FIELDS + 2:  # the request line and the empty one
        raise BadRequestError(431, f"expected at most {_MOST_FIELDS} headers")
    if len(head) > MOST_HEAD_BYTES or any(len(line) > _MOST_LINE_BYTES for line in head.split(b"\n")):
        raise BadRequestError(
            431, f"expected headers of at most {MOST_HEAD_BYTES} bytes, {_MOST_LINE_BYTES} each"
        )
    if whole and not _REQUEST_LINE.match(head):
        raise BadRequestError(400, "expected HTTP/1.1")
    if whole and _ENDLESS_LENGTH.search(head):
        raise BadRequestError(413, "expected a body of some length")
    if whole and _ODD.search(head):
        raise BadRequestError(400, "expected headers of one line each, without control characters")
