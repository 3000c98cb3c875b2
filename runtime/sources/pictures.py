"""Folders and globs of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import SourceError
from ..files import is_hidden_copy
from .base import Source
from .uri import PICTURE_SUFFIXES

__all__ = ["PICTURE_SUFFIXES", "PicturesSource", "decode_picture", "read_picture"]

_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG", b"IEND\xaeB`\x82"


class PicturesSource(Source):
    """Pictures in the order of their names. One that cannot be read whole is an error, never skipped.

    Args:
        paths: the pictures. Companions that macOS leaves beside files, ``._NAME``, are left out: they hold none.
        name: what they are to be called in messages.

    Raises:
        SourceError: there are none.
    """

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        self._paths = tuple(sorted(path for path in paths if not is_hidden_copy(path.name)))
        if not self._paths:
            raise SourceError(
                f"there are no pictures in {name}; looked for {', '.join(sorted(PICTURE_SUFFIXES))}"
            )
        self.name = name
        self._next = 0

    def read(self) -> npt.NDArray[np.uint8] | None:
        """The next picture, uint8 [H, W, 3] BGR; None after the last.

        Raises:
            SourceError: it is missing, truncated or no picture. The message names it.
        """
        if self._next == len(self._paths):
            return None
        path = self._paths[self._next]
        self._next += 1
        self.frame_name = path.stem
        return read_picture(path)

    def close(self) -> None:
        """Does nothing: no file stays open between pictures."""


def read_picture(path: Path) -> npt.NDArray[np.uint8]:
    """Reads a picture whole, as uint8 [H, W, 3] BGR.

    Raises:
        SourceError: it is missing, truncated or no picture.
    """
    return np.asarray(decode_picture(path, cv2.IMREAD_COLOR), np.uint8)


def decode_picture(path: Path, mode: int) -> npt.NDArray[Any]:
    """Reads a picture whole, in one of OpenCV's modes, ``cv2.IMREAD_…``.

    Raises:
        SourceError: as :func:`read_picture`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read the picture {path}: {error.strerror}") from error
    whole = bool(data) and not _is_cut(data)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), mode) if whole else None
    except cv2.error as error:
        raise SourceError(
            f"OpenCV refuses the picture {path}: {error.err or error}; one of more pixels than"
            " OPENCV_IO_MAX_IMAGE_PIXELS is not read"
        ) from error
    if picture is None:
        raise SourceError(
            f"the picture {path} is damaged or truncated; replace it or take it out of the folder"
        )
    return picture


def _is_cut(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end.

    OpenCV fills the missing part of a JPEG with grey and calls it read, and for a PNG its library writes to stderr.
    """
    if data.startswith(_JPEG_START):
        return data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN)  # an embedded thumbnail has an end of its own
    return data.startswith(_PNG_START) and data.rfind(_PNG_END) < 0
