"""MAVLink frames in a stream of bytes: found, checked, and passed on undecoded.

Most messages of a vehicle are for others. Whether one is wanted stands in its header, so that only wanted ones have to
be decoded, and a flood of others costs little.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_MARKER_1, _MARKER_2 = 0xFE, 0xFD
_ANY_MARKER = re.compile(rb"[\xfd\xfe]")
_HEADER_1, _HEADER_2 = 6, 10
_CRC_BYTES, _SIGNATURE_BYTES = 2, 13
_SIGNED = 0x01


@dataclass(frozen=True)
class MavlinkFrame:
    """One message, undecoded.

    Attributes:
        data: the whole frame.
        message: the message's number.
        system: the number of the system that sent it.
        component: the number of its component.
    """

    data: bytes
    message: int
    system: int
    component: int


class MavlinkReader:
    """Finds frames of MAVLink 1 and 2 in what arrives, whatever else is there.

    Args:
        crc_extra: the seed of each known message's checksum, by its number.
        checksum: of bytes, as MAVLink computes it.

    Attributes:
        errors: number of places that looked like a frame and were none.
    """

    def __init__(self, crc_extra: Mapping[int, int], checksum: Callable[[bytes], int]) -> None:
        self._crc_extra, self._checksum = crc_extra, checksum
        self._rest = b""
        self.errors = 0

    def feed(self, data: bytes) -> list[MavlinkFrame]:
        """Returns the frames that are complete with these bytes."""
        stream, start, frames = self._rest + data, 0, []
        while (marker := _ANY_MARKER.search(stream, start)) is not None:
            start = marker.start()
            end = self._end(stream, start)
            if end is None or end > len(stream):
                break  # it may be complete with what comes next
            frame = self._frame(stream[start:end]) if end else None
            if frame is None:
                self.errors += 1
                start += 1  # a frame may begin within what is none
            else:
                frames.append(frame)
                start = end
        else:
            start = len(stream)
        self._rest = stream[start:]
        return frames

    def clear(self) -> None:
        """Forgets a frame that is not complete, as after a gap."""
        self._rest = b""

    @staticmethod
    def _end(stream: bytes, start: int) -> int | None:
        """Returns where a frame ends; 0 if it is none, None if its header is not complete."""
        if len(stream) < start + 3:
            return None
        length = stream[start + 1]
        if stream[start] == _MARKER_1:
            return start + _HEADER_1 + length + _CRC_BYTES
        flags = stream[start + 2]
        if flags & ~_SIGNED:
            return 0  # a form that nobody here can read
        signature = _SIGNATURE_BYTES if flags & _SIGNED else 0
        return start + _HEADER_2 + length + _CRC_BYTES + signature

    def _frame(self, data: bytes) -> MavlinkFrame | None:
        """Returns the frame, or None if its checksum is wrong. A message that is not known has no checksum."""
        if data[0] == _MARKER_1:
            frame = MavlinkFrame(data, data[5], data[3], data[4])
            end = len(data) - _CRC_BYTES
        else:
            frame = MavlinkFrame(data, int.from_bytes(data[7:10], "little"), data[5], data[6])
            end = _HEADER_2 + data[1]
        extra = self._crc_extra.get(frame.message)
        if extra is None:
            return frame
        there = int.from_bytes(data[end : end + _CRC_BYTES], "little")
        return frame if there == self._checksum(data[1:end] + bytes((extra,))) else None
