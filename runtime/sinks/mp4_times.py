"""Gives the frames of an MP4 file their own times, after OpenCV has written them at a constant rate.

OpenCV's writer supports one rate and no times. An MP4 file keeps the times apart from the frames, in a table of the
frames' durations (``stts``). So they can be set afterwards: no frame is repeated, dropped or coded again.
The boxes are those of ISO/IEC 14496-12.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

from ...core.errors import OutputError

_FOLDERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts")
_MOST = (1 << 32) - 1
_Box = tuple[bytes, bytes]
"""A kind, and the content."""


def set_times(path: Path, times_s: Sequence[float]) -> None:
    """Sets the display time of each frame; the last frame lasts as long as the one before it.

    Args:
        path: an MP4 file with one video stream, no reordered frames and its index last, as OpenCV writes it.
        times_s: of each frame in seconds, rising; at least two.

    Raises:
        OutputError: the file is not of this form.
        OSError: it cannot be written.
    """
    with path.open("r+b") as file:
        at = 0
        while True:
            file.seek(at)
            head = file.read(16)
            size = int.from_bytes(head[:4], "big")
            if size == 1:
                size = int.from_bytes(head[8:16], "big")
            if head[4:8] == b"moov" or size < 8:
                break
            at += size
        file.seek(at)
        moov = file.read()
        if head[4:8] != b"moov" or len(moov) != size:
            raise OutputError(f"cannot set the times of {path}: its index does not come last")
        timescale, movie_timescale = _timescales(moov)
        ticks = [round((time_s - times_s[0]) * timescale) for time_s in times_s]
        lasts = [max(1, after - before) for before, after in pairwise(ticks)]
        lasts.append(lasts[-1])
        if sum(lasts) > _MOST:
            raise OutputError(f"cannot set the times of {path}: it lasts {times_s[-1] - times_s[0]:.0f} s")
        times = _Times(lasts, sum(lasts), round(sum(lasts) * movie_timescale / timescale))
        file.seek(at)
        file.write(_joined(_rewritten(moov, times)))
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True)
class _Times:
    """The duration of each frame and of all frames in the stream's ticks, and of all frames in the movie's ticks."""

    lasts: Sequence[int]
    stream: int
    movie: int


def _boxes(data: bytes) -> Iterator[_Box]:
    at = 0
    while at + 8 <= len(data):
        size = max(8, int.from_bytes(data[at : at + 4], "big"))
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def _joined(boxes: Sequence[_Box]) -> bytes:
    return b"".join(struct.pack(">I", 8 + len(body)) + kind + body for kind, body in boxes)


def _timescales(data: bytes) -> tuple[int, int]:
    """Ticks a second of the stream and of the movie."""
    found: dict[bytes, int] = {}

    def search(inside: bytes) -> None:
        for kind, body in _boxes(inside):
            if kind in _FOLDERS:
                search(body)
            elif kind in (b"mdhd", b"mvhd"):
                at = 20 if body[0] else 12
                found[kind] = int.from_bytes(body[at : at + 4], "big")

    search(data)
    return found[b"mdhd"], found[b"mvhd"]


def _rewritten(data: bytes, times: _Times) -> list[_Box]:
    """The boxes, with the new times in all places that hold times."""
    boxes: list[_Box] = []
    for kind, body in _boxes(data):
        long = bool(body[:1] != b"\0")  # version 1 has dates and durations of eight bytes
        if kind in _FOLDERS:
            body = _joined(_rewritten(body, times))
        elif kind in (b"mvhd", b"mdhd"):
            lasts = times.movie if kind == b"mvhd" else times.stream
            body = _with_number(body, 24 if long else 16, long, lasts)
        elif kind == b"tkhd":
            body = _with_number(body, 28 if long else 20, long, times.movie)
        elif kind == b"elst" and int.from_bytes(body[4:8], "big") == 1:
            body = _with_number(body, 8, long, times.movie)
        elif kind == b"stts":
            runs = [(len(list(run)), lasts) for lasts, run in groupby(times.lasts)]
            body = struct.pack(">II", 0, len(runs)) + b"".join(struct.pack(">II", *run) for run in runs)
        boxes.append((kind, body))
    return boxes


def _with_number(body: bytes, at: int, long: bool, number: int) -> bytes:
    size = 8 if long else 4
    return body[:at] + number.to_bytes(size, "big") + body[at + size :]
