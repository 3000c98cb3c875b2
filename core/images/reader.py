"""The one reader of image files, for sources, data sets and tiles."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ImageError
from ..files import read_regular
from . import jpeg, jpeg_decode, png, tiff
from .bounds import VARIABLE, most_pixels

_MOST_BYTES = 2 << 30
_ANEW = "replace it or take it out"
_CONVERT = "convert it to 8 bits a channel, as a JPEG or PNG"
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_KNOWN_STARTS = (png.START, b"BM", b"RIFF", *_TIFF_STARTS)
_OTHERS = {
    b"ftyphei": "HEIF, as phones write",
    b"ftypmif": "HEIF, as phones write",
    b"ftyphev": "HEIF, as phones write",
    b"8BPS\0\1": "a Photoshop document",
    b"%PDF": "a PDF",
}
"""First bytes, or bytes after the first four, of common image files that OpenCV does not read."""


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Reads a whole image, as uint8 [H, W, 3] BGR, turned by its EXIF orientation.

    Raises:
        ImageError: it is missing, damaged, too large or of an unsupported form. The message names it.
    """
    return np.asarray(read(path, cv2.IMREAD_COLOR), np.uint8)


def read(path: Path, mode: int) -> npt.NDArray[Any]:
    """Reads a whole image, in one of OpenCV's modes, ``cv2.IMREAD_…``; a JPEG always as :func:`read_image`.

    Raises:
        ImageError: as :func:`read_image`.
    """
    return decode(read_bytes(path), f"the image {path}", mode)


def orientation(path: Path) -> int:
    """The EXIF orientation of an image, 1 to 8; 1, upright, if it has none or is no JPEG.

    Raises:
        ImageError: there is no such file.
    """
    head = jpeg.read_head(read_bytes(path))
    return 1 if head is None else head.orientation


def read_bytes(path: Path) -> bytes:
    """Reads an image's file.

    Raises:
        ImageError: there is no such file, or it is larger than any image.
    """
    try:
        return read_regular(path, _MOST_BYTES)
    except OSError as error:
        raise ImageError(f"cannot read the image {path}: {error.strerror}") from error


def decode(data: bytes, name: str, mode: int) -> npt.NDArray[Any]:
    """Decodes an image whole, as :func:`read`.

    Args:
        data: of the file.
        name: of the image, to begin messages with.
        mode: of OpenCV.

    Raises:
        ImageError: as :func:`read_image`.
    """
    check(data, name)
    if data.startswith(jpeg.START):
        decoded = jpeg_decode.decode(data)
        if decoded.form:
            raise ImageError(f"{name} {decoded.form}, which is not read; {_CONVERT}")
        if decoded.damage or decoded.frame is None:
            raise _damaged(name, decoded.damage)
        return decoded.frame
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error as error:
        raise ImageError(f"OpenCV refuses {name}: {error.err or error}") from error
    if image is None and not data.startswith(_KNOWN_STARTS):
        raise ImageError(f"{name} has a format that edgeseg does not read; {_CONVERT}")
    if image is None:
        raise _damaged(name, "OpenCV cannot decode it")
    return image


def size_hw(path: Path) -> tuple[int, int]:
    """Returns the height and width of an image as they are stored, before it is turned upright.

    The image is not decoded if its head gives them.

    Raises:
        ImageError: as :func:`read_image`, as far as it shows.
    """
    data, name = read_bytes(path), f"the image {path}"
    height, width = check(data, name)
    if height * width == 0:
        height, width = decode(data, name, cv2.IMREAD_COLOR).shape[:2]
    return height, width


def check(data: bytes, name: str) -> tuple[int, int]:
    """Refuses an image for faults that show without decoding: its size, its form, and missing or altered parts.

    Returns:
        Height and width as stored; zeros if only decoding shows them.

    Raises:
        ImageError: as :func:`read_image`.
    """
    tags: tiff.Tags = {}
    found_hw, damage, form = (0, 0), "", ""
    if data.startswith(jpeg.START):
        found_hw = jpeg.size_hw(data) or (0, 0)
    elif data.startswith(png.START):
        found_hw, damage = png.size_hw(data), png.damage(data)
    elif data.startswith(_TIFF_STARTS):
        try:
            tags = tiff.tags_of(data)
        except ValueError as error:
            raise _damaged(name, str(error)) from error
        found_hw, form = tiff.size_hw(tags), tiff.form(tags)
    elif data.startswith(b"BM") and len(data) >= 26:
        width, height = struct.unpack_from("<ii", data, 18)
        found_hw = abs(height), abs(width)
    elif not data:
        raise ImageError(f"{name} is empty; {_ANEW}")
    height, width = found_hw
    if height * width > most_pixels():
        raise ImageError(
            f"{name} has {width} x {height} pixels, more than {most_pixels()}; make it smaller, save it as a"
            f" tiled GeoTIFF for `edgeseg run --tile`, or set {VARIABLE}"
        )
    damage = damage or (tags and not form and tiff.damage(data, tags)) or ""
    if damage:
        raise _damaged(name, damage)
    other = next((name for start, name in _OTHERS.items() if start in data[:12]), "")
    form = form or (other and f"is {other}")
    if form:
        raise ImageError(f"{name} {form}, which is not read; {_CONVERT}")
    return found_hw


def _damaged(name: str, why: str) -> ImageError:
    return ImageError(f"{name} is damaged or truncated ({why}); {_ANEW}")
