"""The layout of results in shared memory: version 3, in C in ``examples/edgeseg_shm.h``.

A header of :data:`HEADER` bytes, the names of the classes, then a ring of slots. All numbers are in the machine's own
byte order and are aligned to their size. Times are nanoseconds of CLOCK_BOOTTIME, which continues while the machine
sleeps. Version 1 used CLOCK_MONOTONIC, which stops then; version 2 had no landing spot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

SHM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""The form of a name of shared memory."""

MAGIC = b"EDGESEG1"
VERSION = 3
SLOTS = 3

OPEN, CLOSED, REPLACED = 1, 2, 3
"""States: results come; the writer has ended; a larger memory has the name now, open it again."""

HEADER = np.dtype(
    {
        "names": [
            "magic", "version", "header_bytes", "total_bytes", "slot_bytes", "slots", "max_height", "max_width",
            "class_count", "names_offset", "names_bytes", "map_offset", "frame_offset", "writer_pid", "state",
            "heartbeat_ns", "newest",
        ],
        "formats": ["S8", "u4", "u4", "u8", "u8", *["u4"] * 10, "u8", "u8"],
        "offsets": [0, 8, 12, 16, 24, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 72, 80],
        "itemsize": 128,
    }
)  # fmt: skip
"""``frame_offset`` is 0 if slots hold no frames. ``newest`` counts results from 1 and is 0 before the first; result
n is in slot (n - 1) % ``slots``. ``map_offset`` and ``frame_offset`` count from the start of the slot."""

SLOT = np.dtype(
    {
        "names": [
            "sequence", "number", "frame_id", "captured_ns", "published_ns", "height", "width", "valid", "reason",
            "source", "has_frame", "landing", "landing_switches", "landing_reason", "landing_ground_m", "landing_frd_m",
            "landing_uv_px", "landing_distance_m", "landing_clearance_m", "landing_required_m", "landing_persistence_s",
        ],
        "formats": [
            "u8", "u8", "i8", "u8", "u8", *["u4"] * 8, "S24", "2f8", "3f4", "2f4", *["f4"] * 4,
        ],
        "offsets": [0, 8, 16, 24, 32, 40, 44, 48, 52, 56, 60, 64, 68, 72, 96, 112, 124, 132, 136, 140, 144],
        "itemsize": 160,
    }
)  # fmt: skip
"""``sequence`` is odd while the slot is written. A read is whole if it is even and the same before and after.
``landing`` is 0 if no spot is searched, 1 for a valid spot, 2 for none; ``landing_reason`` says why, zero-padded.
Numbers that are not known are NaN."""

NO_SEARCH, SPOT, NO_SPOT = 0, 1, 2

_PAGE = 4096


@dataclass(frozen=True)
class SharedMemoryLayout:
    """The offsets and sizes of all parts, for frames up to a size.

    Attributes:
        max_size_hw: the largest frame.
        names: of the classes, each ended by a zero byte, in order of their ids.
        with_frames: whether slots hold frames too.
    """

    max_size_hw: tuple[int, int]
    names: bytes
    with_frames: bool

    @property
    def header_bytes(self) -> int:
        """Size of the header; the slots begin after it."""
        return _whole_pages(HEADER.itemsize + len(self.names))

    @property
    def map_bytes(self) -> int:
        """Size of the largest class map."""
        return self.max_size_hw[0] * self.max_size_hw[1]

    @property
    def frame_offset(self) -> int:
        """Offset of the frame within a slot; 0 if there is none."""
        return _whole_pages(SLOT.itemsize + self.map_bytes) if self.with_frames else 0

    @property
    def slot_bytes(self) -> int:
        """Size of one slot."""
        if self.with_frames:
            return self.frame_offset + _whole_pages(3 * self.map_bytes)
        return _whole_pages(SLOT.itemsize + self.map_bytes)

    @property
    def total_bytes(self) -> int:
        """Size of all shared memory."""
        return self.header_bytes + SLOTS * self.slot_bytes


def encode_names(names: tuple[str, ...]) -> bytes:
    """The names as they are stored in memory."""
    return b"".join(name.replace("\0", "").encode() + b"\0" for name in names)


def _whole_pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE
