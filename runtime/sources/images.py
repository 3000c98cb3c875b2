"""Folders and globs of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...core.errors import SourceError
from ...core.files import is_hidden_copy
from ...core.images.reader import read_image
from ...core.source import Source
from .uri import IMAGE_SUFFIXES

__all__ = ["IMAGE_SUFFIXES", "ImagesSource"]


class ImagesSource(Source):
    """Images in the order of their names. One that cannot be read whole is an error, and is never skipped.

    Args:
        paths: the images. macOS's companion files, ``._NAME``, are left out: they contain no images.
        name: their name in messages.

    Raises:
        SourceError: there are none.
    """

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        self._paths = tuple(sorted(path for path in paths if not is_hidden_copy(path.name)))
        if not self._paths:
            raise SourceError(
                f"there are no images in {name}; looked for {', '.join(sorted(IMAGE_SUFFIXES))}"
            )
        self.name = name
        self._next = 0

    def read(self) -> npt.NDArray[np.uint8] | None:
        """The next image, uint8 [H, W, 3] BGR; None after the last.

        Raises:
            ImageError: it is missing, damaged, too large or in an unsupported format. The message names it.
        """
        if self._next == len(self._paths):
            return None
        path = self._paths[self._next]
        self._next += 1
        self.frame_name = path.stem
        return read_image(path)

    def close(self) -> None:
        """Does nothing: no file stays open between images."""
