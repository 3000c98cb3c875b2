"""What a TIFF says of itself, read without any library: whether OpenCV can do it justice."""

from __future__ import annotations

import struct
from pathlib import Path

_MAX_PIXELS = 1 << 26  # 200 megabytes of BGR
_WIDTH, _HEIGHT = 256, 257

_NEEDS_MORE = {
    33550: "is georeferenced",
    33922: "is georeferenced",
    34264: "is georeferenced",
    34735: "is georeferenced",
    42113: "marks pixels without data",
}
"""Tags of GeoTIFF and GDAL that OpenCV would pass over without a word."""


def why_not_plain(path: Path) -> str:
    """Why a TIFF should not be read whole by OpenCV; empty where it is small and has nothing that would get lost."""
    with path.open("rb") as file:
        head = file.read(8)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 8 or struct.unpack(order + "H", head[2:4])[0] != 42:
            return "is a BigTIFF or damaged"
        file.seek(struct.unpack(order + "I", head[4:])[0])
        (count,) = struct.unpack(order + "H", file.read(2).ljust(2, b"\0"))
        entries = file.read(12 * count)
    if not count or len(entries) < 12 * count:
        return "is damaged"
    values = {}
    for offset in range(0, len(entries), 12):
        tag, kind = struct.unpack_from(order + "HH", entries, offset)
        values[tag] = struct.unpack_from(order + ("H" if kind == 3 else "I"), entries, offset + 8)[0]
    for tag, reason in _NEEDS_MORE.items():
        if tag in values:
            return reason
    pixels = values.get(_WIDTH, 0) * values.get(_HEIGHT, 0)
    return f"has {pixels / 1e6:.0f} megapixels" if pixels > _MAX_PIXELS else ""
