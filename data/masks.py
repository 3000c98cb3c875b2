"""The reading of label masks: palette PNGs, as in PASCAL VOC, and RGB ones, as annotation tools write them."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError, MissingDependencyError
from ..core.files import read_regular
from ..core.images import reader
from ..core.labels import VOID, VOID_RGB, LabelMap
from .colours import UnknownColoursError, look_up, pack, unpack, why_lossy

_MOST_BYTES = 1 << 30
_FORMATS = ("PNG", "BMP", "TIFF", "GIF")
"""Pillow's lossless formats, which do not blur a class into others."""
_LOSSY_FORMATS = (*_FORMATS, "JPEG")


def read_frame(path: Path) -> npt.NDArray[np.uint8]:
    """Reads an image as uint8 [H, W, 3], BGR.

    Raises:
        DataError: the file is missing, damaged or not an image.
    """
    return reader.read_image(path)


def read_mask(path: Path, labels: LabelMap) -> npt.NDArray[np.uint8]:
    """Reads a mask as class ids, uint8 [H, W]; 255 is void.

    A palette PNG contains the ids themselves if its colours are those of the label map. With another palette, as with
    an RGB mask, each pixel's colour is looked up in the label map. A grey mask contains the positions of lines in the
    label map; these are the ids if no line is for void.

    Raises:
        DataError: the file is missing or not an image, or has a class or colour that the label map lacks.
    """
    stored, palette_rgb = open_mask(path)
    if stored.ndim == 3:
        ids, unknown = look_up(stored, _ids_by_colour(labels))
        if unknown:
            raise UnknownColoursError(path, unknown, labels.palette_rgb()[: len(labels)])
        return ids
    used = np.flatnonzero(np.bincount(stored.ravel(), minlength=256))
    used = used[used != VOID]
    ids = np.full(256, VOID, np.uint8)
    if palette_rgb is None:
        lines = labels.ids_by_position()
        if (used >= len(lines)).any():
            raise DataError(
                why_lossy(stored, path)
                or f"{path} holds class id {used.max()}; the label map has 0 to {len(lines) - 1}, and 255 is void"
            )
        ids[: len(lines)] = lines
    elif (used < len(labels)).all() and (palette_rgb[used] == labels.palette_rgb()[used]).all():
        return stored
    else:
        by_colour = _ids_by_colour(labels)
        colours = pack(palette_rgb[used])
        counts = np.bincount(stored.ravel(), minlength=256)[used]
        unknown = {
            unpack(colour): count
            for colour, count in zip(colours.tolist(), counts.tolist(), strict=True)
            if colour not in by_colour
        }
        if unknown:
            raise UnknownColoursError(path, unknown, labels.palette_rgb()[: len(labels)])
        ids[used] = [by_colour[colour] for colour in colours.tolist()]
    return ids[stored]


def open_mask(
    path: Path, *, lossy: bool = False
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
    """Reads the stored values of a mask, without their meaning.

    Args:
        path: of the file.
        lossy: whether it may be a JPEG, whose values must then be thresholded.

    Returns:
        The stored values, uint8 [H, W], with the palette, uint8 [256, 3], if there is one; or the RGB pixels,
        uint8 [H, W, 3], and None. A mask with one bit for each pixel has the values 0 and 1.

    Raises:
        DataError: the file is missing, damaged, or of a form that cannot contain classes.
    """
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
        with Image.open(io.BytesIO(data), formats=_LOSSY_FORMATS if lossy else _FORMATS) as image:
            if image.mode == "P":
                palette_rgb = np.zeros((256, 3), np.uint8)
                flat = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
                palette_rgb[: len(flat)] = flat
                return np.asarray(image, np.uint8), palette_rgb
            if image.mode in ("1", "L", "LA"):
                return np.asarray(image.getchannel(0), np.uint8), None
            if image.mode.startswith(("I", "F")):
                raise DataError(_why_too_deep(np.asarray(image), path))
            return np.asarray(image.convert("RGB"), np.uint8), None
    except UnidentifiedImageError as error:
        raise DataError(
            f"the mask {path} is a lossy mask, a JPEG: threshold it, as `edgeseg data import` does; save it as a PNG"
            if data.startswith(b"\xff\xd8")
            else f"the mask {path} is not of a form that is read; expected a PNG: others lose or change colours"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise DataError(f"cannot read the mask {path}: {error}") from error


def _why_too_deep(values: npt.NDArray[np.generic], path: Path) -> str:
    """Describes the most likely content of a mask with more than 8 bits for each pixel."""
    problem = f"the mask {path} has more than 8 bits a pixel"
    distinct = np.unique(values)
    if values.dtype.kind in "ui" and distinct.max() > VOID:
        return (
            f"{problem} and values up to {distinct.max()}: instance ids, as Cityscapes' instanceIds or COCO's panoptic "
            "masks have them, and no class ids; expected one value a class: take the set's class masks, or write "
            "the class of each instance"
        )
    return f"{problem}; expected class ids or colours: save it in 8 bits"


def _ids_by_colour(labels: LabelMap) -> dict[int, int]:
    """Returns the class id of each colour, packed by :func:`pack`."""
    by_colour = {label.rgb: index for index, label in enumerate(labels.labels)}
    by_colour |= {line.label.rgb: VOID for line in labels.void}
    by_colour.setdefault(VOID_RGB, VOID)
    return {(r << 16) | (g << 8) | b: class_id for (r, g, b), class_id in by_colour.items()}
