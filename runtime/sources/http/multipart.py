"""The parts of an endless multipart body, in the forms that cameras really send."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ....core.errors import SourceError
from ....core.images import jpeg
from .stamps import Stamp, stamp_of

MOST_PART_BYTES = 64 << 20
_MOST_HEAD_BYTES = 16 << 10
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d{1,12})[ \t]*\r?$")


@dataclass(frozen=True)
class Part:
    """One image as it arrived.

    Attributes:
        data: its bytes.
        at: the earliest time when its first byte was there, in seconds of :func:`edgeseg.runtime.clock.now`.
        stamp: the sender's, if it has one.
    """

    data: bytes
    at: float
    stamp: Stamp | None = None


class MultipartParser:
    """Splits bytes into parts.

    A part ends after its ``Content-Length``. Without one, it ends with its JPEG, so that no frame waits for the next
    one's delimiter; or with that delimiter, if the JPEG lacks its end.

    Args:
        boundary: of the response's ``Content-Type``; with or without its two dashes, both are in use.
    """

    def __init__(self, boundary: str) -> None:
        self._delimiter = b"--" + boundary.strip().lstrip("-").encode("latin-1")
        self._buffer = bytearray()
        self._length: int | None = None
        self._stamp: Stamp | None = None
        self._in_part = False
        self._searched = 0
        self._at: float | None = None
        self.ended = False

    @property
    def between(self) -> bool:
        """True if no byte of the next image is there."""
        return not (self._in_part and self._buffer)

    def feed(self, data: bytes, at: float) -> list[Part]:
        """Adds the bytes that came at the moment ``at``; returns the parts that they complete.

        Raises:
            SourceError: a part or its head is larger than any image's.
        """
        if self._in_part and self._at is None:
            self._at = at
        self._buffer += data
        parts = []
        while not self.ended:
            part = self._finish_part() if self._in_part else self._finish_head(at)
            if part is None:
                break
            if part.data:
                parts.append(part)
        return parts

    def _finish_head(self, at: float) -> Part | None:
        """Skips to the next delimiter and reads the head after it; returns an empty part when the head is complete."""
        start = self._buffer.find(self._delimiter)
        if start < 0:
            # The rest may be the beginning of a delimiter.
            del self._buffer[: max(0, len(self._buffer) - len(self._delimiter))]
            return None
        after = start + len(self._delimiter)
        if self._buffer[after : after + 2] == b"--":
            self.ended = True
            return None
        blank = _BLANK_LINE.search(self._buffer, after)
        if blank is None:
            if len(self._buffer) - start > _MOST_HEAD_BYTES:
                raise SourceError("the head of a part of the stream has no end; is it an MJPEG stream?")
            return None
        head = bytes(self._buffer[after : blank.start() + 2])
        length = _LENGTH.search(head)
        self._stamp = stamp_of(head)
        self._length = int(length[1]) if length else None
        self._check(self._length or 0)
        del self._buffer[: blank.end()]
        self._in_part, self._searched = True, 0
        self._at = at if self._buffer else None
        return Part(b"", at)

    def _finish_part(self) -> Part | None:
        end = self._end_of_part()
        if end < 0:
            self._check(len(self._buffer))
            self._searched = len(self._buffer)
            return None
        part = Part(bytes(self._buffer[:end]), self._at or 0.0, self._stamp)
        del self._buffer[:end]
        self._in_part = False
        return part

    def _end_of_part(self) -> int:
        if self._length is not None:
            return self._length if len(self._buffer) >= self._length else -1
        ends = jpeg.find_end(self._buffer, self._searched)
        cut = self._buffer.find(b"\n" + self._delimiter, max(0, self._searched - len(self._delimiter)))
        if cut >= 0 and not 0 <= ends <= cut:
            return cut
        return ends

    def _check(self, size: int) -> None:
        if size > MOST_PART_BYTES:
            raise SourceError(
                f"a part of the stream has more than {MOST_PART_BYTES >> 20} MiB; is it an MJPEG stream?"
            )
