"""Shapes of annotation tools, filled into masks: polygons, bitmaps and run lengths."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...core.errors import DataError
from ...core.images import reader
from .base import Mask

_FURTHEST = 32_000
"""OpenCV's fill has 16 bits for a pixel's position."""
_MOST_BITMAP_BYTES = 64 << 20


def points_of(value: Any) -> npt.NDArray[np.float64]:
    """Returns points from JSON, float64 [N, 2] as (x, y): from pairs, or from one list with x and y in turn.

    Raises:
        DataError: the value is not a list of points.
    """
    try:
        points = np.asarray(value, np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError("a shape's points are no pairs of numbers") from error
    if not len(points) or not np.isfinite(points).all():
        raise DataError("a shape has no points, or some that are no numbers")
    clipped: npt.NDArray[np.float64] = np.clip(points, -_FURTHEST, _FURTHEST)
    return clipped


def fill(mask: Mask, rings: Sequence[npt.NDArray[np.float64]], value: int) -> None:
    """Fills a polygon: the first ring without the other rings, which are its holes."""
    whole = [np.floor(ring).astype(np.int32) for ring in rings]
    if len(whole) == 1:
        cv2.fillPoly(mask, whole, value)
        return
    inside = np.zeros(mask.shape, np.uint8)
    cv2.fillPoly(inside, whole[:1], 1)
    for hole in whole[1:]:
        cv2.fillPoly(inside, [hole], 0)
    mask[inside == 1] = value


def rectangle(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns the ring of a rectangle between two corners."""
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def circle(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns the ring of a circle from its centre and a point on it."""
    radius = float(np.hypot(*(points[1] - points[0])))
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    ring: npt.NDArray[np.float64] = points[0] + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return ring.clip(-_FURTHEST, _FURTHEST)


def bitmap(text: Any, *, deflated: bool) -> npt.NDArray[np.bool_]:
    """Decodes a bitmap in base 64, a PNG with or without deflate around it.

    Returns:
        For each pixel True if it belongs to the object, [h, w].

    Raises:
        DataError: the text is not a bitmap.
    """
    try:
        data = base64.b64decode(str(text), validate=False)
        if deflated:
            data = zlib.decompressobj().decompress(data, _MOST_BITMAP_BYTES)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise DataError(f"a bitmap cannot be decoded ({error})") from error
    pixels = reader.decode(data, "a bitmap of the annotations", cv2.IMREAD_UNCHANGED)
    if pixels.ndim == 3:
        pixels = pixels[..., -1]  # alpha, or a channel like the others
    return np.asarray(pixels > 0)


def paste(mask: Mask, inside: npt.NDArray[np.bool_], left: int, top: int, value: int) -> None:
    """Fills a bitmap with its upper left corner at this position."""
    height, width = mask.shape
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + inside.shape[1], width), min(top + inside.shape[0], height)
    if x0 < x1 and y0 < y1:
        part = inside[y0 - top : y1 - top, x0 - left : x1 - left]
        mask[y0:y1, x0:x1][part] = value


def run_lengths(value: Any, size_hw: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Decodes COCO's run lengths: pixels column by column, runs outside and inside in turn.

    Args:
        value: the ``counts``: a list of numbers, or COCO's packed text with six bits in each character.
        size_hw: height and width of the annotated image.

    Returns:
        For each pixel True if it belongs to the object, [H, W].

    Raises:
        DataError: they are malformed, or for another size.
    """
    if isinstance(value, str):
        counts = _unpacked(value)
    elif isinstance(value, list) and all(isinstance(each, int) for each in value):
        counts = value
    else:
        raise DataError("run lengths are neither a list of whole numbers nor a text")
    if (
        any(not 0 <= each <= size_hw[0] * size_hw[1] for each in counts)
        or sum(counts) != size_hw[0] * size_hw[1]
    ):
        raise DataError(f"run lengths do not cover {size_hw[1]} x {size_hw[0]} pixels")
    inside = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return np.asarray(inside.reshape(size_hw[::-1]).T, np.bool_)


def _unpacked(text: str) -> list[int]:
    """Unpacks numbers from groups of five bits, the lowest first. From the fourth number on, each is stored as the
    difference from the number two places before."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise DataError("packed run lengths hold a character that is none of theirs")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise DataError("packed run lengths end within a number")
    return counts
