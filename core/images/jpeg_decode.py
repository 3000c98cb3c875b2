"""Decodes JPEGs, and reports for each if it is whole.

OpenCV fills missing parts of a JPEG with grey and reports success. libjpeg detects them, and only prints a line.
Here its warnings count as errors. A flipped bit that still makes a valid code cannot be detected: JPEG has no checksum.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg

from ..arrays import Frame
from . import jpeg
from .jpeg import Head

_FEWEST_BITS = {0: 2, 1: 2, 2: 1}
"""The fewest bits of a block of 64 samples, by coding. No Huffman code is shorter than one bit."""

_BLOCK = 8
_MOST_SCANS = 500
_MOST_SIDE = 65500
_MOST_EXTRA_BYTES = 16
"""Some cameras write a few bytes too many before a marker. Many more bytes are foreign data."""

_EXTRANEOUS = re.compile(r"(?:Corrupt JPEG data: )?(\d+) extraneous bytes before marker 0xd[0-9]")
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_TRANSPOSED = frozenset({5, 6, 7, 8})
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
"""The flip code of ``cv2.flip`` by EXIF orientation, to apply after the transposition if there is one."""


class Decoded(NamedTuple):
    """The outcome of decoding a JPEG.

    Attributes:
        frame: uint8 [H, W, 3] BGR, upright; if the JPEG is not whole, the part that could be decoded, or None.
        damage: the fault in its data; else empty.
        form: the reason that its form is not supported; else empty.
    """

    frame: Frame | None
    damage: str = ""
    form: str = ""


def decode(data: bytes, head: Head | None = None, into: Frame | None = None) -> Decoded:
    """Decodes a JPEG, and turns it by its EXIF orientation.

    Args:
        data: from its start; bytes after its end are ignored.
        head: of the JPEG, if it has been read.
        into: memory for the frame; used if it has the stored image's shape, uint8 [H, W, 3].

    The caller bounds the size.

    Raises:
        MemoryError: there is not enough memory.
    """
    head = head or jpeg.read_head(data)
    if head is None:
        return Decoded(None, damage="its head is not whole")
    form = _form(head)
    if form:
        return Decoded(None, form=form)
    damage = impossible(data, head)
    if damage:
        return Decoded(None, damage=damage)
    data = _conforming(data, head)
    shape = (*head.size_hw, 3)
    frame = into if into is not None and into.shape == shape else np.empty(shape, np.uint8)
    damage = _decode(data, frame)
    if "subsampling" in damage:
        ratios = ", ".join(f"{across}x{down}" for across, down in head.sampling)
        return Decoded(None, form=f"has components sampled {ratios}, which no camera's JPEG has")
    if not damage and head.has_several_scans:
        damage = _lacks_scan(data, head)
    elif _EXTRANEOUS.fullmatch(damage) and _is_whole_but_for_padding(data, head):
        damage = ""
    if damage and _decode(data, frame, strict=False):
        return Decoded(None, damage=damage)
    return Decoded(_upright(frame, head.orientation), damage=damage)


def work_px(data: bytes, head: Head) -> int:
    """The work of decoding, in pixels: those of the image, once for each scan."""
    count = len(jpeg.scans(data, head)) if head.has_several_scans else 1
    return head.size_hw[0] * head.size_hw[1] * max(1, count)


def impossible(data: bytes, head: Head) -> str:
    """The reason that a JPEG cannot hold what its head claims; empty if it can."""
    height, width = head.size_hw
    if height * width == 0:
        return "its head claims no size"
    fewest = _FEWEST_BITS.get(head.coding, 0) * (height * width // _BLOCK**2) // 8
    if fewest > len(data):
        return f"its head claims {width} x {height} pixels, which {len(data)} bytes cannot hold"
    if head.has_several_scans and len(jpeg.scans(data, head)) > _MOST_SCANS:
        return f"it has more than {_MOST_SCANS} scans"
    return ""


def _decode(data: bytes, frame: Frame, strict: bool = True) -> str:
    """Decodes into a frame. Returns libjpeg's complaint; empty if there is none."""
    try:
        simplejpeg.decode_jpeg(data, "BGR", buffer=frame, strict=strict)
    except ValueError as error:
        return str(error).removeprefix("Corrupt JPEG data: ")
    except RuntimeError as error:  # no decoder can be made
        raise MemoryError(str(error)) from error
    return ""


def _form(head: Head) -> str:
    if head.coding not in (0, 1, 2, 9, 10):
        return f"is a {'lossless' if head.coding in (3, 11) else 'hierarchical'} JPEG"
    return "" if head.bits == 8 else f"is a JPEG of {head.bits} bits a sample"


def _conforming(data: bytes, head: Head) -> bytes:
    """The same image, with a head that libjpeg does not warn about: some cameras write fields that it objects to."""
    changes = {}
    if data[6:11] == b"JFIF\0" and data[11:12] != b"\x01":
        changes[11] = b"\x01"  # of an unknown revision
    ends = head.data_at - 3
    if not head.has_several_scans and head.coding in (0, 1) and data[ends : ends + 3] != b"\x00\x3f\x00":
        changes[ends] = b"\x00\x3f\x00"  # of all coefficients: a sequential scan has no others
    if not changes:
        return data
    copy = bytearray(data)
    for at, wanted in changes.items():
        copy[at : at + len(wanted)] = wanted
    return bytes(copy)


def _lacks_scan(data: bytes, head: Head) -> str:
    """Finds a missing scan in an image of several scans: the decoder does not report one."""
    seen = {number for numbers, first in jpeg.scans(data, head) if first == 0 for number in numbers}
    return "" if seen.issuperset(jpeg.components(data, head)) else "a component never comes"


def _is_whole_but_for_padding(data: bytes, head: Head) -> bool:
    """True if a few extra bytes before a marker are the only fault.

    libjpeg reports only its last warning. So each restart interval is decoded by itself, as an image that is one unit
    high; if it has extra bytes, it is decoded again without them.
    """
    if head.has_several_scans or head.coding not in (0, 1):
        return False
    height, width = head.size_hw
    across, down = (max(side) for side in zip(*head.sampling, strict=True)) if head.in_scan > 1 else (1, 1)
    unit_w, unit_h = _BLOCK * across, _BLOCK * down
    units = -(-width // unit_w) * -(-height // unit_h)
    end = data.find(jpeg.END, head.data_at)
    pieces = _RESTART.split(data[head.data_at : end]) if end > 0 else []
    in_order = all(marker[0] == 0xD0 + number % 8 for number, marker in enumerate(pieces[1::2]))
    interval = min(head.interval or units, units)
    if not in_order or len(pieces[::2]) != -(-units // interval):
        return False
    if interval == units:
        return _is_whole_piece(_head_for(data, head, head.size_hw), pieces[0])
    widths = [min(interval, units - first) * unit_w for first in range(0, units, interval)]
    return max(widths) <= _MOST_SIDE and all(
        _is_whole_piece(_head_for(data, head, (unit_h, width)), piece)
        for width, piece in zip(widths, pieces[::2], strict=True)
    )


def _is_whole_piece(head: bytes, piece: bytes) -> bool:
    for again in (True, False):
        try:
            simplejpeg.decode_jpeg(head + piece + jpeg.END, "GRAY")
            return True
        except ValueError as error:
            match = _EXTRANEOUS.fullmatch(str(error))
            if match is None or not again:
                return False
            piece = piece.rstrip(b"\xff")
            extra = int(match[1])
            if extra > _MOST_EXTRA_BYTES and piece[-extra:].strip(b"\0"):
                return False
            piece = piece[:-extra]
    return False


def _head_for(data: bytes, head: Head, size_hw: tuple[int, int]) -> bytes:
    """The head, changed to another size and without restarts."""
    copy = bytearray(data[: head.data_at])
    copy[head.frame_at + 5 : head.frame_at + 9] = size_hw[0].to_bytes(2, "big") + size_hw[1].to_bytes(
        2, "big"
    )
    if head.interval_at > 0:
        copy[head.interval_at : head.interval_at + 2] = b"\0\0"
    return bytes(copy)


def _upright(frame: Frame, orientation: int) -> Frame:
    if orientation in _TRANSPOSED:
        frame = np.asarray(cv2.transpose(frame), np.uint8)
    if orientation in _FLIPS:
        frame = np.asarray(cv2.flip(frame, _FLIPS[orientation]), np.uint8)
    return frame
