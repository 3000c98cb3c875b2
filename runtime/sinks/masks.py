"""Class maps as palette PNGs, the form of masks in VOC-layout data sets."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ...core.errors import DataError, OutputError
from ...core.labels import LabelMap
from ...core.outputs import check_output, discard, prepare_output, put_in_place
from ...core.palette_png import encode
from .base import Output, Sink
from .disk import check_room, place

LABELS_NAME = "labelmap.txt"


class MasksSink(Sink):
    """Writes each class map to a folder, which gets its name once it is whole.

    A mask has the name of its image, or the frame's number if frames have no names. ``labelmap.txt`` is written beside
    the masks. A result that is not valid becomes a mask of void.

    Args:
        folder: the folder to make.
        labels: the classes, for the colours.
        force: whether the folder may exist; masks of the same names are then replaced, other files stay.

    Raises:
        OutputError: the folder exists, or cannot be made.
    """

    def __init__(self, folder: Path, labels: LabelMap, force: bool = False) -> None:
        self.name = f"masks {folder}"
        self._folder = folder
        self._labels = labels
        self._palette_rgb = labels.palette_rgb()
        self._partial = prepare_output(folder, force, folder=True)
        self._taken: set[str] = set()

    def write(self, output: Output) -> None:
        """Writes a mask.

        Raises:
            OutputError: it cannot be written, as when the disk is full.
        """
        name = output.name or f"{output.result.frame_id:06d}"
        if name in self._taken:  # images of one name in several folders
            name = f"{name}-{output.result.frame_id:06d}"
        try:
            self._partial.mkdir(exist_ok=True)
            (self._partial / f"{name}.png").write_bytes(encode(output.result.classes, self._palette_rgb))
        except OSError as error:
            raise OutputError(
                f"cannot write masks to {self._folder}: {error.strerror}; nothing was kept"
            ) from error
        self._taken.add(name)

    def close(self, commit: bool) -> None:
        """Gives the folder its name, or moves the masks into the existing folder.

        Raises:
            OutputError: no frame came, or the folder cannot be written.
        """
        try:
            if commit:
                if not self._taken:
                    raise OutputError(f"no frame came, so there are no masks in {self._folder}")
                self._labels.write(self._partial / LABELS_NAME)
                put_in_place(self._partial, self._folder)
        except OSError as error:
            raise OutputError(
                f"cannot write masks to {self._folder}: {error.strerror}; nothing was kept"
            ) from error
        finally:
            discard(self._partial)


class LiveMasksSink(Sink):
    """Writes the class maps of a live source at once. Each gets its name when it is whole and on the disk.

    A camera's frames cannot be read again, so nothing waits for the end of the run: a power cut loses at most the mask
    that was being written. Numbers continue after a restart, so that nothing is replaced.

    Args:
        folder: a new folder, or one of the same classes to add to.
        labels: the classes, for the colours.

    Raises:
        OutputError: the folder cannot be written, or holds masks of other classes.
    """

    def __init__(self, folder: Path, labels: LabelMap) -> None:
        self.name = f"masks {folder}"
        self._folder = folder
        self._palette_rgb = labels.palette_rgb()
        try:
            open_folder_of(folder, labels)
            numbers = [
                int(match[1])
                for name in os.listdir(folder)
                if (match := re.fullmatch(r"(\d{6,})\.png", name))
            ]
            for leftover in folder.glob(".*.png.partial"):
                discard(leftover)
        except OSError as error:
            raise OutputError(f"cannot write {folder}: {error.strerror}") from error
        self._first = 1 + max(numbers, default=-1)

    def write(self, output: Output) -> None:
        """Writes a mask.

        Raises:
            OutputError: it cannot be written, as when the disk is full. The masks before it stay.
        """
        path = self._folder / f"{self._first + output.result.frame_id:06d}.png"
        partial = path.with_name(f".{path.name}.partial")
        kept = "the masks until now are kept"
        check_room(self._folder, self._folder, kept)
        try:
            partial.write_bytes(encode(output.result.classes, self._palette_rgb))
            place(partial, path)
        except OSError as error:
            discard(partial)
            raise OutputError(f"cannot write masks to {self._folder}: {error.strerror}; {kept}") from error

    def close(self, commit: bool) -> None:
        """Does nothing: every mask is already written."""


def open_folder_of(folder: Path, labels: LabelMap) -> None:
    """Makes a folder of masks with its label map, or checks that an existing one has the same classes.

    Raises:
        OutputError: it may not be written, or is of other classes, or holds other things.
        OSError: it cannot be written.
    """
    check_output(folder, folder=True)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LABELS_NAME
    if path.exists():
        try:
            there = LabelMap.read(path)
        except DataError as error:
            raise OutputError(f"{folder} cannot be added to: {error}") from error
        if there != labels:
            raise OutputError(
                f"{folder} holds masks of other classes ({', '.join(there.names)}); give the masks another folder"
            )
        return
    if any(not name.startswith(".") for name in os.listdir(folder)):
        raise OutputError(f"{folder} holds other things and no {LABELS_NAME}; give the masks another folder")
    partial = folder / f".{LABELS_NAME}.partial"
    labels.write(partial)
    place(partial, path)
