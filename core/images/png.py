"""Facts of a PNG that need no decoding: its size, and the completeness and checksums of its chunks."""

from __future__ import annotations

import struct
import zlib

START = b"\x89PNG\r\n\x1a\n"

_FRAME_BYTES = 12
"""Bytes of a chunk besides its content: length, kind and checksum."""


def size_hw(data: bytes) -> tuple[int, int]:
    """Height and width that the header claims; 0 if there is no header."""
    if len(data) < 24 or data[12:16] != b"IHDR":
        return 0, 0
    width, height = struct.unpack_from(">II", data, 16)
    return height, width


def damage(data: bytes) -> str:
    """The fault in the chunks; empty if all are whole."""
    at, view, kind = len(START), memoryview(data), b""
    while kind != b"IEND":
        if at + _FRAME_BYTES > len(data):
            return "it is cut off"
        (length,) = struct.unpack_from(">I", data, at)
        end = at + _FRAME_BYTES + length
        if end > len(data):
            return "it is cut off"
        kind = data[at + 4 : at + 8]
        if zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            return f"the checksum of its part {kind.decode('latin-1')!r} is wrong"
        at = end
    return ""
