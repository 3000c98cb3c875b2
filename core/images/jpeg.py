"""Facts of a JPEG that need no decoding: its size, its form and the place of its end (ITU-T T.81, annex B)."""

from __future__ import annotations

from dataclasses import dataclass

START, END = b"\xff\xd8", b"\xff\xd9"

_SCAN, _RESTARTS, _EXIF = 0xDA, 0xDD, 0xE1
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length: TEM, the restarts, SOI."""

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a frame header, SOF0 to SOF15; the three left out are tables."""

_FRAME_HEADER_BYTES = 9
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Head:
    """The part of a JPEG before the first scan's data.

    Attributes:
        size_hw: as the header claims.
        coding: of the frame's marker: 0 and 1 sequential, 2 progressive, 9 and 10 the same with arithmetic codes;
            others lossless or hierarchical.
        bits: of a sample.
        sampling: of each component, horizontal and vertical.
        frame_at: offset of the frame's marker.
        interval_at: offset of the restart interval, two bytes; -1 if there is none.
        interval: number of units (MCU) between restart markers; 0 if there are none.
        scan_at: offset of the first scan's marker.
        data_at: offset of the first scan's data.
        in_scan: number of components in the first scan.
        orientation: of EXIF, 1 to 8.
    """

    size_hw: tuple[int, int]
    coding: int
    bits: int
    sampling: tuple[tuple[int, int], ...]
    frame_at: int
    interval_at: int
    interval: int
    scan_at: int
    data_at: int
    in_scan: int
    orientation: int

    @property
    def is_progressive(self) -> bool:
        """True if the image comes in several scans, each of which refines it."""
        return self.coding in (2, 10)

    @property
    def has_several_scans(self) -> bool:
        """True if one scan alone does not make the whole image."""
        return self.is_progressive or self.in_scan < len(self.sampling)


def read_head(data: bytes) -> Head | None:
    """Reads everything up to the first scan; None if that is not complete, or the data is no JPEG."""
    frame_at, interval_at, orientation = -1, -1, 1
    for marker, at in _segments(data):
        if marker in _FRAMES and frame_at < 0:
            frame_at = at
        elif marker == _RESTARTS:
            interval_at = at + 4
        elif marker == _EXIF and data[at + 4 : at + 10] == b"Exif\0\0":
            orientation = _orientation(data[at + 10 : at + 2 + _length(data, at)])
        elif marker == _SCAN:
            data_at = at + 2 + _length(data, at)
            frame = data[frame_at : frame_at + 2 + _length(data, frame_at)] if frame_at >= 0 else b""
            if len(frame) < _FRAME_HEADER_BYTES + 1 or len(frame) < 10 + 3 * frame[9] or data_at > len(data):
                return None
            sampling = tuple((byte >> 4, byte & 15) for byte in frame[11 : 10 + 3 * frame[9] : 3])
            return Head(
                size_hw=(int.from_bytes(frame[5:7], "big"), int.from_bytes(frame[7:9], "big")),
                coding=frame[1] - 0xC0,
                bits=frame[4],
                sampling=sampling,
                frame_at=frame_at,
                interval_at=interval_at,
                interval=int.from_bytes(data[interval_at : interval_at + 2], "big") if interval_at > 0 else 0,
                scan_at=at,
                data_at=data_at,
                in_scan=data[at + 4],
                orientation=orientation,
            )
    return None


def size_hw(data: bytes | bytearray) -> tuple[int, int] | None:
    """Height and width that the frame header claims; None if there is no frame header."""
    for marker, at in _segments(data):
        if marker in _FRAMES and at + _FRAME_HEADER_BYTES <= len(data):
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
    return None


def find_end(data: bytes | bytearray, searched: int = 0) -> int:
    """Finds the end of the JPEG at the start of ``data``: the offset after its end marker; -1 if that is missing.

    Thumbnails have end markers too. They lie in segments that are skipped.

    Args:
        searched: number of bytes of ``data`` that are known to hold no end marker.
    """
    scan = next((at for marker, at in _segments(data) if marker == _SCAN), -1)
    if scan < 0:
        return -1
    end = data.find(END, max(scan, searched - 1))
    return -1 if end < 0 else end + 2


def scans(data: bytes, head: Head) -> list[tuple[tuple[int, ...], int]]:
    """The scans: for each, the numbers of its components and its first coefficient."""
    found, at = [], head.scan_at
    while at >= 0:
        count = data[at + 4] if at + 4 < len(data) else 0
        if 1 <= count <= 4 and _length(data, at) == 6 + 2 * count and at + 7 + 2 * count < len(data):
            found.append((tuple(data[at + 5 : at + 5 + 2 * count : 2]), data[at + 5 + 2 * count]))
        at = data.find(b"\xff\xda", at + 2)
    return found


def components(data: bytes, head: Head) -> tuple[int, ...]:
    """The numbers of the frame's components."""
    return tuple(data[head.frame_at + 10 : head.frame_at + 10 + 3 * len(head.sampling) : 3])


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
            at += 2 + _length(data, at)
    return found


def _length(data: bytes | bytearray, at: int) -> int:
    return int.from_bytes(data[at + 2 : at + 4], "big")


def _orientation(tiff: bytes) -> int:
    """The orientation in an EXIF segment's first directory; 1, upright, if it has none."""
    order = {b"II": "little", b"MM": "big"}.get(tiff[:2])

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], "big" if order == "big" else "little")

    start = number(4, 4)
    if order is None or number(2, 2) != 42 or start + 2 > len(tiff):
        return 1
    for entry in range(start + 2, min(start + 2 + 12 * number(start, 2), len(tiff) - 11), 12):
        if number(entry, 2) == _ORIENTATION:
            value = number(entry + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1
