"""What a JPEG says of itself before it is decoded: its size, and whether its end has come (ITU-T T.81, annex B)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

START, END = b"\xff\xd8", b"\xff\xd9"

_SCAN = 0xDA
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length: TEM, the restarts, SOI."""

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a frame header, SOF0 to SOF15; the three left out are tables."""

_FRAME_HEADER_BYTES = 9


def size_hw(data: bytes | bytearray) -> tuple[int, int] | None:
    """Height and width that the frame header claims; None where there is none."""
    for marker, at in _segments(data):
        if marker in _FRAMES and at + _FRAME_HEADER_BYTES <= len(data):
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
    return None


def decode(data: bytes) -> npt.NDArray[np.uint8] | None:
    """The picture as uint8 [H, W, 3] BGR, in what remains of it grey; None where nothing can be decoded."""
    try:
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        # OpenCV raises where the header claims a size beyond its bound or that cannot be.
        return None
    return None if frame is None else np.asarray(frame, np.uint8)


def find_end(data: bytes | bytearray, searched: int = 0) -> int:
    """Where the JPEG at the start of ``data`` ends: the offset after its end marker; -1 where that has not come.

    Thumbnails, which end too, lie in segments that are skipped.

    Args:
        searched: how much of ``data`` is known to hold no end.
    """
    scan = next((at for marker, at in _segments(data) if marker == _SCAN), -1)
    if scan < 0:
        return -1
    end = data.find(END, max(scan, searched - 1))
    return -1 if end < 0 else end + 2


def _segments(data: bytes | bytearray) -> list[tuple[int, int]]:
    """The markers up to the first scan, each with its offset."""
    found, at = [], 2
    while data.startswith(START) and at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _ALONE:
            at += 2
        else:
            found.append((marker, at))
            if marker == _SCAN:
                break
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return found
