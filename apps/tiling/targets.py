"""Files of class maps, which are written from top to bottom and appear whole or not at all."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from ...core.arrays import ClassMap
from ...core.errors import OutputError
from ...core.labels import LabelMap
from ...core.outputs import discard, prepare_output
from ...core.palette_png import Encoder
from .sources import WindowedImage


class ClassMapFile(ABC):
    """A class map that is being written. The end of its ``with`` block keeps it; an error there discards it.

    Args:
        path: of the new file.
        size_hw: height and width in pixels.
        force: whether it may replace an existing file.

    Raises:
        OutputError: the file exists and ``force`` is false, or its folder cannot be written.
    """

    def __init__(self, path: Path, size_hw: tuple[int, int], force: bool = False) -> None:
        self.path = path
        self.size_hw = size_hw
        self._partial = prepare_output(path, force)
        self._rows = 0

    def write(self, classes: ClassMap) -> None:
        """Writes the next rows.

        Args:
            classes: uint8 [rows, W].

        Raises:
            OutputError: they cannot be written, as when the disk is full.
        """
        assert classes.shape[1] == self.size_hw[1]
        self._write(classes)
        self._rows += len(classes)

    def close(self, commit: bool) -> None:
        """Gives the file its name.

        Args:
            commit: keep the file. If False, nothing half-written stays.

        Raises:
            OutputError: the file is not whole. Nothing of it stays.
        """
        try:
            if commit and self._rows != self.size_hw[0]:
                raise OutputError(
                    f"{self.path} was given {self._rows} of {self.size_hw[0]} rows, and is not kept"
                )
            self._finish(commit)
            if commit:
                os.replace(self._partial, self.path)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error
        finally:
            discard(self._partial)

    def __enter__(self) -> ClassMapFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(commit=error is None)

    @abstractmethod
    def _write(self, classes: ClassMap) -> None: ...

    @abstractmethod
    def _finish(self, commit: bool) -> None:
        """Completes and closes the partial file. Without ``commit``, closing is enough."""


class PngClassMap(ClassMapFile):
    """A palette PNG: pixel value = class id, 255 = void."""

    def __init__(self, path: Path, size_hw: tuple[int, int], labels: LabelMap, force: bool = False) -> None:
        super().__init__(path, size_hw, force)
        self._encoder = Encoder(size_hw, labels.palette_rgb())
        self._file: BinaryIO | None = None

    def _write(self, classes: ClassMap) -> None:
        self._put(self._encoder.rows(classes))

    def _finish(self, commit: bool) -> None:
        if commit:
            self._put(self._encoder.end())
        if self._file is not None:
            self._file.close()

    def _put(self, data: bytes) -> None:
        try:
            if self._file is None:
                self._file = self._partial.open("wb")
            self._file.write(data)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}") from error


def open_class_map(
    path: str | Path, image: WindowedImage, labels: LabelMap, force: bool = False
) -> ClassMapFile:
    """Opens a class map for an image: for a GeoTIFF one with the same georeference, else a palette PNG.

    Args:
        path: of the new file.
        image: the segmented image.
        labels: the classes, for the colours.
        force: whether it may replace an existing file.

    Raises:
        OutputError: the path has another suffix, or exists, or cannot be written.
    """
    from .geotiff import GeoTiffClassMap, GeoTiffImage

    path = Path(path)
    suffixes = class_map_suffixes(image)
    if path.suffix.lower() not in suffixes:
        raise OutputError(
            f"the class map of {image.name} is a {suffixes[0][1:]} file; got {path}: name it so"
        )
    if isinstance(image, GeoTiffImage):
        return GeoTiffClassMap(path, image, labels, force)
    return PngClassMap(path, image.size_hw, labels, force)


def class_map_suffixes(image: WindowedImage) -> tuple[str, ...]:
    """The valid suffixes of an image's class map, the usual one first."""
    from .geotiff import GeoTiffImage

    return (".tif", ".tiff") if isinstance(image, GeoTiffImage) else (".png",)
