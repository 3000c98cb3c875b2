"""Class maps as palette PNGs, the form that VOC-layout data sets have their masks in."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import OutputError
from ..labels import LabelMap
from ..outputs import discard, prepare_output
from ..palette_png import encode
from .base import Output, Sink


class MasksSink(Sink):
    """Writes each class map to a folder, which appears under its name once it is whole.

    A mask bears its picture's name, or the frame's number where frames have no names. ``labelmap.txt`` goes beside
    them. A result that is not valid is a mask of void.

    Args:
        folder: to make.
        labels: the classes, for the colours.
        force: whether the folder may exist; masks of the same names are then replaced, other files stay.

    Raises:
        OutputError: the folder exists, or cannot be made.
    """

    def __init__(self, folder: Path, labels: LabelMap, force: bool = False) -> None:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder} is a file; give the masks another folder")
        self.name = f"masks {folder}"
        self._folder = folder
        self._labels = labels
        self._palette_rgb = labels.palette_rgb()
        self._partial = prepare_output(folder, force)
        self._taken: set[str] = set()

    def write(self, output: Output) -> None:
        """Writes a mask.

        Raises:
            OutputError: it cannot be written, as when the disk is full.
        """
        name = output.name or f"{output.result.frame_id:06d}"
        if name in self._taken:  # pictures of one name in several folders
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
        """Gives the folder its name, or moves the masks into the one that is there.

        Raises:
            OutputError: no frame came, or the folder cannot be written.
        """
        try:
            if commit:
                if not self._taken:
                    raise OutputError(f"no frame came, so there are no masks in {self._folder}")
                self._labels.write(self._partial / "labelmap.txt")
                if self._folder.exists():
                    for file in self._partial.iterdir():
                        os.replace(file, self._folder / file.name)
                else:
                    os.rename(self._partial, self._folder)
        except OSError as error:
            raise OutputError(
                f"cannot write masks to {self._folder}: {error.strerror}; nothing was kept"
            ) from error
        finally:
            discard(self._partial)
