"""Data sets in PASCAL VOC's layout, as in VOC itself and in CVAT's "segmentation mask" export.

::

    DIR/JPEGImages/ID.jpg             images (.png too)
    DIR/SegmentationClass/ID.png      masks
    DIR/ImageSets/Segmentation/SPLIT.txt   one id on each line
    DIR/labelmap.txt                  the classes; only PASCAL VOC's own folders do not need it

The extra files of macOS (``._NAME``, ``__MACOSX``) are not part of a data set.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError
from ..core.images.reader import orientation
from .class_lists import read_labels
from .lists import image_path, mask_path, read_split
from .masks import read_frame, read_mask


@dataclass(frozen=True)
class Sample:
    """One labelled image.

    Attributes:
        id: its name without suffix.
        frame_bgr: uint8 [H, W, 3].
        mask: uint8 [H, W], class ids; 255 is void.
    """

    id: str
    frame_bgr: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]


class VocDataset:
    """One split of a data set in VOC layout.

    Args:
        root: the folder that holds ``JPEGImages``, or one above it.
        split: name of a list in ``ImageSets/Segmentation``, without ``.txt``.

    Raises:
        DataError: the layout, the split or the label map is missing or malformed, or the split is empty.
    """

    def __init__(self, root: Path, split: str) -> None:
        self.root = find_root(root)
        self.split = split
        self.labels = read_labels(self.root)
        self.ids = read_split(self.root, split)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, index: int) -> Sample:
        """Reads one image with its mask.

        Raises:
            DataError: a file is missing or malformed, or the two differ in size.
        """
        name = self.ids[index]
        image = image_path(self.root, name)
        frame_bgr = read_frame(image)
        path = mask_path(self.root, name)
        mask = read_mask(path, self.labels)
        if mask.shape != frame_bgr.shape[:2]:
            raise DataError(
                f"the mask {path} is {mask.shape[1]} x {mask.shape[0]}, its image "
                f"{frame_bgr.shape[1]} x {frame_bgr.shape[0]}; expected the same size"
                + why_turned(image, mask.shape, frame_bgr.shape)
            )
        return Sample(name, frame_bgr, mask)


def why_turned(image: Path, mask_hw: tuple[int, ...], frame_hw: tuple[int, ...]) -> str:
    """Returns a sentence if an image's EXIF orientation explains another size of its mask; else empty."""
    if mask_hw[:2] != frame_hw[1::-1] or orientation(image) < 5:
        return ""
    return (
        ": the image is turned upright by its EXIF orientation, and the mask was drawn before; turn the mask, "
        "or import the set with `edgeseg data import`, which does"
    )


def find_root(root: Path) -> Path:
    """Finds the folder that holds ``JPEGImages``: ``root`` itself, or the only VOC year under a ``VOCdevkit``.

    Raises:
        DataError: there is none, or more than one.
    """
    if os.path.isfile(root) and root.suffix.lower() == ".zip":
        raise DataError(
            f"{root} is a zip archive; unpack and read it with `edgeseg data import {root} --out DIR`"
        )
    if not os.path.isdir(root):  # Path.is_dir raises if the name is too long for the file system
        raise DataError(f"there is no data set folder {root}")
    if (root / "JPEGImages").is_dir():
        return root
    inner = sorted(
        path.parent
        for pattern in ("*/JPEGImages", "*/*/JPEGImages")
        for path in root.glob(pattern)
        if "__MACOSX" not in path.parts
    )
    if len(inner) == 1:
        return inner[0]
    if inner:
        raise DataError(
            f"{root} holds several data sets ({', '.join(p.name for p in inner)}); name one of them"
        )
    from .imports.registry import looks_like  # imported here, because it needs this module's neighbours

    raise DataError(
        f"{root} is not in VOC layout: expected JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/"
        f"{looks_like(root)}"
    )
