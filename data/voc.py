"""Data sets in PASCAL VOC's layout, as VOC itself and CVAT's "segmentation mask" export have it.

::

    DIR/JPEGImages/ID.jpg             pictures (.png too)
    DIR/SegmentationClass/ID.png      masks
    DIR/ImageSets/Segmentation/SPLIT.txt   one id a line
    DIR/labelmap.txt                  the classes; without it they are PASCAL VOC's 21

What macOS leaves beside its files (``._NAME``, ``__MACOSX``) is no part of a data set.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..runtime.errors import DataError
from ..runtime.files import is_hidden_copy, read_text
from ..runtime.labels import LabelMap, voc_labels
from .masks import read_frame, read_mask

_MOST_ID = 200
_PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp")


@dataclass(frozen=True)
class Sample:
    """One labelled picture.

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
        root: the folder that holds ``JPEGImages``; or one above it named ``VOCdevkit``.
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
        """Reads one picture with its mask.

        Raises:
            DataError: a file is missing or malformed, or the two differ in size.
        """
        name = self.ids[index]
        frame_bgr = read_frame(picture_path(self.root, name))
        mask_path = self.root / "SegmentationClass" / f"{name}.png"
        mask = read_mask(mask_path, self.labels)
        if mask.shape != frame_bgr.shape[:2]:
            raise DataError(
                f"the mask {mask_path} is {mask.shape[1]} x {mask.shape[0]}, its picture "
                f"{frame_bgr.shape[1]} x {frame_bgr.shape[0]}; expected the same size"
            )
        return Sample(name, frame_bgr, mask)


def find_root(root: Path) -> Path:
    """Finds the folder that holds ``JPEGImages``: ``root`` itself, or the only VOC year under a ``VOCdevkit``.

    Raises:
        DataError: there is none, or more than one.
    """
    if not os.path.isdir(root):  # Path.is_dir raises where the name is too long for the file system
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
    raise DataError(
        f"{root} is not in VOC layout: expected JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/"
    )


def read_labels(root: Path) -> LabelMap:
    """Reads ``labelmap.txt``, or gives PASCAL VOC's classes where there is none."""
    path = root / "labelmap.txt"
    return LabelMap.read(path) if path.exists() else voc_labels()


def split_names(root: Path) -> list[str]:
    """The names of the splits there are, sorted."""
    lists = (root / "ImageSets" / "Segmentation").glob("*.txt")
    return sorted(path.stem for path in lists if not is_hidden_copy(path.name))


def read_split(root: Path, split: str) -> list[str]:
    """Reads the ids of one split.

    Raises:
        DataError: there is no such split (the message lists those there are), or its list is no UTF-8 text or
            names no picture.
    """
    path = root / "ImageSets" / "Segmentation" / f"{split}.txt"
    known = split_names(root)
    if split not in known:
        raise DataError(
            f"{root} has no split {split!r}: there is no such list in ImageSets/Segmentation; "
            f"splits there: {', '.join(known) or 'none'}"
        )
    ids = []
    for number, line in enumerate(read_text(path, "the list").splitlines(), start=1):
        if not line.strip():
            continue
        name = line.split()[0]  # CVAT may write "ID 1" a line
        if len(name) > _MOST_ID:
            raise DataError(f"{path}, line {number}: {name[:40]!r}… is too long for a picture's id")
        if not is_hidden_copy(os.path.basename(name)):
            ids.append(name)
    if not ids:
        raise DataError(f"the split {split!r} of {root} names no picture; write one id a line into {path}")
    return ids


def picture_path(root: Path, name: str) -> Path:
    """The path of a picture by its id.

    Raises:
        DataError: there is no picture of that id.
    """
    for suffix in _PICTURE_SUFFIXES:
        path = root / "JPEGImages" / f"{name}{suffix}"
        if path.exists():
            return path
    raise DataError(
        f"the picture {root / 'JPEGImages' / name}.jpg is missing; run `edgeseg data check {root}`"
    )
