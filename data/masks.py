"""Reading label masks: palette PNGs as PASCAL VOC has them, and RGB ones as annotation tools write them."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..runtime.errors import DataError, MissingDependencyError
from ..runtime.files import read_regular
from ..runtime.labels import VOID, VOID_RGB, LabelMap
from ..runtime.pictures import reader

_MOST_BYTES = 1 << 30
_FORMATS = ("PNG", "BMP", "TIFF", "GIF")
"""Of Pillow's: those without loss, in which a class is not blurred into others."""


def read_frame(path: Path) -> npt.NDArray[np.uint8]:
    """Reads a picture as uint8 [H, W, 3], BGR.

    Raises:
        DataError: the file is missing, damaged, or not a picture.
    """
    return reader.read_picture(path)


def read_mask(path: Path, labels: LabelMap) -> npt.NDArray[np.uint8]:
    """Reads a mask as class ids, uint8 [H, W]; 255 is void.

    A palette PNG holds the ids themselves wherever its colours are those of the label map; with another palette,
    as with an RGB mask, each pixel's colour is looked up in the label map. A grey mask holds the positions of
    lines in the label map: the ids, where none of the lines is for void.

    Raises:
        DataError: the file is missing or not a picture, or holds a class or colour that the label map lacks.
    """
    stored, palette_rgb = _open(path)
    if stored.ndim == 3:
        colours, inverse = np.unique(stored.reshape(-1, 3), axis=0, return_inverse=True)
        return _ids_of(colours, labels, path)[inverse].reshape(stored.shape[:2])
    used = np.flatnonzero(np.bincount(stored.ravel(), minlength=256))
    used = used[used != VOID]
    ids = np.full(256, VOID, np.uint8)
    if palette_rgb is None:
        lines = labels.ids_by_position()
        if (used >= len(lines)).any():
            raise DataError(
                f"{path} holds class id {used.max()}; the label map has 0 to {len(lines) - 1}, and 255 is void"
            )
        ids[: len(lines)] = lines
    elif (used < len(labels)).all() and (palette_rgb[used] == labels.palette_rgb()[used]).all():
        return stored
    else:
        ids[used] = _ids_of(palette_rgb[used], labels, path)
    return ids[stored]


def _open(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
    """The stored indices [H, W] with their palette [256, 3], or the RGB pixels [H, W, 3] with none."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise MissingDependencyError("pillow", "export", "reading label masks") from error
    try:
        data = read_regular(path, _MOST_BYTES)
    except OSError as error:
        raise DataError(f"cannot read the mask {path}: {error.strerror}") from error
    reader.check(data, f"the mask {path}")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.mode == "P":
                palette_rgb = np.zeros((256, 3), np.uint8)
                flat = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
                palette_rgb[: len(flat)] = flat
                return np.asarray(image, np.uint8), palette_rgb
            if image.mode == "L":
                return np.asarray(image, np.uint8), None
            if image.mode.startswith(("I", "F")):
                raise DataError(
                    f"the mask {path} has more than 8 bits a pixel; expected class ids or colours: save it in 8 bits"
                )
            return np.asarray(image.convert("RGB"), np.uint8), None
    except UnidentifiedImageError as error:
        raise DataError(
            f"the mask {path} is not of a form that is read; expected a PNG: others lose or change colours"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise DataError(f"cannot read the mask {path}: {error}") from error


def _ids_of(colours_rgb: npt.NDArray[np.uint8], labels: LabelMap, path: Path) -> npt.NDArray[np.uint8]:
    """Class ids, uint8 [K], of colours, uint8 [K, 3]."""
    by_colour = {label.rgb: index for index, label in enumerate(labels.labels)}
    by_colour |= {line.label.rgb: VOID for line in labels.void}
    by_colour.setdefault(VOID_RGB, VOID)
    ids = np.empty(len(colours_rgb), np.uint8)
    for position, colour in enumerate(map(tuple, colours_rgb.tolist())):
        if colour not in by_colour:
            raise DataError(
                f"{path} holds the colour {colour}, which no class of the label map has; add it to labelmap.txt"
            )
        ids[position] = by_colour[colour]
    return ids
