"""Images that are read by windows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import numpy.typing as npt

from ...core.errors import MissingDependencyError, SourceError
from ...core.images import reader
from ...core.images.tiff import why_not_plain
from ...runtime.sources.uri import IMAGE_SUFFIXES

TIFF_SUFFIXES = frozenset({".tif", ".tiff"})

_ORIENTED_SUFFIXES = frozenset({".jpeg", ".jpg"})

WindowPixels = tuple[npt.NDArray[np.uint8], "npt.NDArray[np.bool_] | None"]
"""A window: uint8 [H, W, 3] BGR, and its valid pixels, bool [H, W]; None if all are valid."""


class WindowedImage(ABC):
    """An image that is read by windows, by one thread at a time.

    Attributes:
        name: for messages.
        size_hw: height and width in pixels.
    """

    name: str
    size_hw: tuple[int, int]

    @abstractmethod
    def read(self, top: int, left: int, height: int, width: int) -> WindowPixels:
        """Reads a window that lies inside the image.

        Raises:
            SourceError: it cannot be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Releases the file."""

    def __enter__(self) -> WindowedImage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class WholeImage(WindowedImage):
    """An image that is held in memory as a whole.

    Args:
        image: uint8 [H, W], [H, W, 3] BGR or [H, W, 4] BGRA; pixels with alpha 0 are not valid.
        name: for messages.

    Raises:
        SourceError: the array has another type or shape.
    """

    def __init__(self, image: npt.NDArray[np.uint8], name: str = "the image") -> None:
        if image.dtype != np.uint8:
            raise SourceError(f"{name} has pixels of {image.dtype}; expected 8 bits a channel: convert it")
        if image.ndim == 2:
            image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
        if image.ndim != 3 or image.shape[2] not in (3, 4) or image.size == 0:
            raise SourceError(
                f"{name} has the shape {list(image.shape)}; expected [H, W], or 3 or 4 channels"
            )
        self.name = name
        self.size_hw = image.shape[0], image.shape[1]
        self._image = image

    def read(self, top: int, left: int, height: int, width: int) -> WindowPixels:
        """Reads a window; without alpha, the result is a view."""
        window = self._image[top : top + height, left : left + width]
        if window.shape[2] == 3:
            return window, None
        return np.ascontiguousarray(window[..., :3]), window[..., 3] > 0

    def close(self) -> None:
        """Releases the memory."""
        self._image = np.empty((0, 0, 3), np.uint8)


def open_image(path: str | Path, tile_hw: tuple[int, int] = (1024, 1024)) -> WindowedImage:
    """Opens an image: a TIFF by windows if rasterio is installed; any other image whole, through OpenCV.

    Args:
        path: of the image.
        tile_hw: size of the windows; it sets the size of the TIFF reader's cache.

    Raises:
        SourceError: it is missing, damaged, too large to be read whole, or of an unsupported kind.
        MissingDependencyError: it is a TIFF that needs rasterio.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if not path.is_file() or suffix not in IMAGE_SUFFIXES:
        known = ", ".join(sorted(IMAGE_SUFFIXES))
        reason = "is no image" if path.exists() else "does not exist"
        raise SourceError(f"{path} {reason}; tiling takes one image: {known}")
    if suffix in TIFF_SUFFIXES:
        from .geotiff import GeoTiffImage, has_rasterio

        if has_rasterio():
            return GeoTiffImage(path, tile_hw)
        reason = why_not_plain(path)
        if reason:
            raise MissingDependencyError("rasterio", "ortho", f"{path}, which {reason},")
    # OpenCV turns a photograph upright only if it gives three channels.
    mode = cv2.IMREAD_COLOR if suffix in _ORIENTED_SUFFIXES else cv2.IMREAD_UNCHANGED
    return WholeImage(reader.read(path, mode), str(path))
