"""Facts of a TIFF, read without any library: if OpenCV can read it correctly, and if it is whole."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from ..files import open_regular
from . import jpeg_decode
from .jpeg import START

_MAX_PIXELS = 1 << 26  # 200 megabytes of BGR
_MOST_VALUES = 1 << 18
_MOST_ENTRIES = 4096
_INFLATE_BYTES = 1 << 20
"""The most bytes that are inflated at a time, however large a part is."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLE_FORMAT = 256, 257, 258, 259, 339
_STRIPS, _TILES = (273, 279), (324, 325)
_JPEG_TABLES = 347
_DEFLATE, _JPEG = (8, 32946), 7
_FLOAT, _UNSIGNED = 3, 1
_FORMS = {1: "B", 2: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q"}
"""The codes of ``struct`` for the kinds of values that are read here."""

_WANTED = frozenset({_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLE_FORMAT, _JPEG_TABLES, *_STRIPS, *_TILES})

_NEEDS_MORE = {
    33550: "is georeferenced",
    33922: "is georeferenced",
    34264: "is georeferenced",
    34735: "is georeferenced",
    42113: "marks pixels without data",
}
"""Tags of GeoTIFF and GDAL that OpenCV would ignore without a warning."""

Tags = Mapping[int, tuple[int, ...]]


def read_tags(file: BinaryIO) -> Tags:
    """The tags of the first image of a TIFF or BigTIFF, by number. Tags that are not needed here have no values.

    Raises:
        ValueError: the file is no TIFF, or is damaged.
    """
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
    try:
        if not order or (version := struct.unpack_from(order + "H", head, 2)[0]) not in (42, 43):
            raise ValueError("it begins as no TIFF does")
        big = version == 43
        file.seek(struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)[0])
        (count,) = struct.unpack(order + ("Q" if big else "H"), file.read(8 if big else 2))
        size = 20 if big else 12
        if not 0 < count <= _MOST_ENTRIES:
            raise ValueError("its directory is damaged")
        entries = file.read(size * count)
        tags: dict[int, tuple[int, ...]] = {}
        for at in range(0, size * count, size):
            tag, kind, number = struct.unpack_from(order + ("HHQ" if big else "HHI"), entries, at)
            field = entries[at + (12 if big else 8) : at + size]
            tags[tag] = _values(file, order, kind, number, field) if tag in _WANTED else ()
    except (struct.error, OverflowError, OSError) as error:
        raise ValueError("its directory is not whole") from error
    return tags


def why_not_plain(path: Path) -> str:
    """The reason that OpenCV should not read a whole TIFF; empty if it is small and would lose nothing."""
    try:
        with open_regular(path) as file:
            if file.read(4)[2:] in (b"+\0", b"\0+"):
                return "is a BigTIFF"
            file.seek(0)
            tags = read_tags(file)
    except ValueError:
        return "is damaged"
    for tag, reason in _NEEDS_MORE.items():
        if tag in tags:
            return reason
    height, width = size_hw(tags)
    return f"has {height * width / 1e6:.0f} megapixels" if height * width > _MAX_PIXELS else ""


def size_hw(tags: Tags) -> tuple[int, int]:
    """Height and width; 0 if they are missing."""
    return (tags.get(_HEIGHT) or (0,))[0], (tags.get(_WIDTH) or (0,))[0]


def form(tags: Tags) -> str:
    """The form of a TIFF's pixels if OpenCV reads it wrongly or not at all; else empty."""
    bits, kind = max(tags.get(_BITS) or (1,)), max(tags.get(_SAMPLE_FORMAT) or (_UNSIGNED,))
    if bits <= 16 and kind == _UNSIGNED:
        return ""
    name = {_FLOAT: "floating-point numbers", _UNSIGNED: "whole numbers"}.get(kind, "signed numbers")
    return f"has pixels of {bits}-bit {name}"


def damage(data: bytes, tags: Tags) -> str:
    """The fault in the strips or tiles of a TIFF that its decoder would not report; else empty."""
    offsets, counts = next(
        ((tags[at], tags.get(size, ())) for at, size in (_STRIPS, _TILES) if at in tags), ((), ())
    )
    if len(counts) == len(offsets) and any(
        at + size > len(data) for at, size in zip(offsets, counts, strict=True)
    ):
        return "it is cut off"
    compression = (tags.get(_COMPRESSION) or (1,))[0]
    parts = [data[at : at + size] for at, size in zip(offsets, counts, strict=False)]
    if compression in _DEFLATE and not all(map(_inflates, parts)):
        return "a part of it cannot be inflated"
    if compression == _JPEG:
        tables = bytes(tags.get(_JPEG_TABLES) or ())[2:-2]
        found = (jpeg_decode.decode(START + tables + part[2:]).damage for part in parts)
        return next(filter(None, found), "")
    return ""


def tags_of(data: bytes) -> Tags:
    """Reads tags as :func:`read_tags`, from a TIFF in memory."""
    return read_tags(io.BytesIO(data))


def _values(file: BinaryIO, order: str, kind: int, count: int, field: bytes) -> tuple[int, ...]:
    form = _FORMS.get(kind)
    if form is None or count > _MOST_VALUES:
        return ()
    size = struct.calcsize(form) * count
    if size > len(field):
        (at,) = struct.unpack(order + ("Q" if len(field) == 8 else "I"), field)
        back = file.tell()
        file.seek(at)
        field = file.read(size)
        file.seek(back)
    return struct.unpack_from(f"{order}{count}{form}", field)


def _inflates(part: bytes) -> bool:
    """True if a part can be inflated to its end, and its checksum is correct."""
    inflate, waiting = zlib.decompressobj(), part
    try:
        while waiting and not inflate.eof:
            inflate.decompress(waiting, _INFLATE_BYTES)
            waiting = inflate.unconsumed_tail
    except zlib.error:
        return False
    return inflate.eof
