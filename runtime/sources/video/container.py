"""A video file's expected length and kind, read from its own structure without decoding."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_TS_SYNC, _TS_PACKETS = b"\x47", (188, 192, 204)
_PS_START = b"\x00\x00\x01\xba"
_END_BYTES = 64
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def has_one_rate(path: Path) -> bool:
    """Returns True if a file is an MPEG transport or program stream, whose frames always have one rate.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(2 * max(_TS_PACKETS) + 8)
    if head.startswith(_PS_START):
        return True
    return any(
        head[at : at + 1] == _TS_SYNC == head[at + size : at + size + 1]
        for size in _TS_PACKETS
        for at in (0, 4)
    )


@dataclass(frozen=True)
class Length:
    """A file's length, and the length in its own structure.

    Attributes:
        there: the bytes that the file has.
        promised: the bytes that it should have; None if the structure has no length, as in streams and in files that a
            recorder did not finish.
        numberless: True if the file does not record its number of frames.
        blank: True if the end is empty, as after an interrupted copy into reserved space.
    """

    there: int
    promised: int | None = None
    numberless: bool = False
    blank: bool = False

    @property
    def whole(self) -> bool:
        """True if no part of the file is missing, as far as its structure shows."""
        return self.promised is not None and self.there >= self.promised and not self.blank

    @classmethod
    def of(cls, path: Path) -> Length:
        """Reads a file's structure.

        MP4 and QuickTime have their length in the size of each box, Matroska and WebM in that of their segment, AVI in
        that of each of its parts.

        Raises:
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            head = file.read(12)
            there = os.fstat(file.fileno()).st_size
            file.seek(max(0, there - _END_BYTES))
            blank = not any(file.read(_END_BYTES))
            if head[4:8] == b"ftyp":
                return cls(there, _boxes(file, there), blank=blank)
            if head.startswith(_EBML):
                return cls(there, _matroska(file), True, blank)
            if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
                return cls(there, _riff(file, there), blank=blank)
        return cls(there, blank=blank)


def _boxes(file: BinaryIO, length: int) -> int | None:
    end = 0
    while end < length:
        file.seek(end)
        head = file.read(16)
        if len(head) < 8:
            return end + 8  # even the box's head is incomplete
        size, least = int.from_bytes(head[:4], "big"), 8
        if not head[4:8].isalnum() and not head[4:8].replace(b" ", b"").isalnum():
            return None  # something else follows the last box
        if size == 1:
            size, least = int.from_bytes(head[8:16], "big"), 16
        if size < least:
            return None  # a box of size 0 goes on to the end of the file
        end += size
    return end


def _riff(file: BinaryIO, length: int) -> int | None:
    end = 0
    while end + 8 <= length:
        file.seek(end)
        head = file.read(8)
        size = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF":
            return None if end == 0 else end
        if size == 0:
            return None
        end += 8 + size + size % 2
    return end


def _matroska(file: BinaryIO) -> int | None:
    file.seek(4)
    size = _vint(file)
    if size is None:
        return None
    file.seek(size, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return None
    size = _vint(file)
    return None if size is None else file.tell() + size


def _vint(file: BinaryIO) -> int | None:
    """Reads a size in Matroska's form; None if it is unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0xFF >> width)]) + file.read(width - 1), "big")
    return None if value == (1 << 7 * width) - 1 else value
