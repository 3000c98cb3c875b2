"""The lists of images of a data set in VOC layout, as VOC, CVAT and other tools write them."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from ..core.errors import DataError
from ..core.files import is_hidden_copy, read_text

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
"""The suffixes of images, in lower case."""

_ORDER = tuple(each for suffix in IMAGE_SUFFIXES for each in (suffix, suffix.upper()))
_MASK_SUFFIXES = (".png", ".PNG", ".bmp", ".tif", ".tiff", ".gif", ".jpg", ".jpeg")
"""The suffixes of masks. JPEG's are included so that such a mask is refused by its format, not as missing."""
_MOST_ID = 200
_MEANT = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


def split_names(root: Path) -> list[str]:
    """Returns the names of all splits, sorted."""
    lists = (root / "ImageSets" / "Segmentation").glob("*.txt")
    return sorted(path.stem for path in lists if not is_hidden_copy(path.name))


def usual_name(split: str) -> str:
    """Returns the usual name of a split with a tool's own name: ``train`` for ``Training``; else the same name."""
    lowered = split.lower()
    return next((usual for usual, names in _MEANT.items() if lowered in names), split)


def find_split(root: Path, split: str) -> str | None:
    """Finds the list of a split: the one of this name, or the only one with the same meaning, such as ``Validation``.

    Args:
        root: the folder that holds ``JPEGImages``.
        split: the requested name.

    Returns:
        The list's name; None if there is none.
    """
    known = split_names(root)
    if split in known:
        return split
    same = [name for name in known if usual_name(name) == split]
    return same[0] if len(same) == 1 else None


def read_split(root: Path, split: str) -> list[str]:
    """Reads the ids of one split.

    A line is an id, with or without the image's suffix and folder; other text may follow. ``#`` begins a comment.

    Raises:
        DataError: there is no such split (the message lists the existing ones), or its list is not UTF-8 text, names no
            image, or leads out of the data set.
    """
    name = find_split(root, split)
    if name is None:
        known = split_names(root)
        raise DataError(
            f"{root} has no split {split!r}: there is no such list in ImageSets/Segmentation; splits there: "
            f"{', '.join(known) or 'none'}; `edgeseg data split {root}` writes train and val"
        )
    path = root / "ImageSets" / "Segmentation" / f"{name}.txt"
    ids = []
    for number, raw in enumerate(read_text(path, "the list").splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        found = _id_of(root, line)
        if len(found) > _MOST_ID:
            raise DataError(f"{path}, line {number}: {found[:40]!r}… is too long for an image's id")
        if ".." in PurePosixPath(found).parts:
            raise DataError(f"{path}, line {number}: {found!r} leads out of the data set; write ids alone")
        if not is_hidden_copy(os.path.basename(found)):
            ids.append(found)
    if not ids:
        raise DataError(f"the split {name!r} of {root} names no image; write one id a line into {path}")
    return ids


def find_image(root: Path, name: str) -> Path | None:
    """Returns the path of an image by its id; None if there is none."""
    return _first(root / "JPEGImages", name, _ORDER)


def image_path(root: Path, name: str) -> Path:
    """Returns the path of an image by its id.

    Raises:
        DataError: there is no image of that id.
    """
    path = find_image(root, name)
    if path is None:
        raise DataError(
            f"the image {root / 'JPEGImages' / name}.jpg is missing; run `edgeseg data check {root}`"
        )
    return path


def mask_path(root: Path, name: str) -> Path:
    """Returns the path of a mask by its image's id; that of a PNG if there is no mask."""
    folder = root / "SegmentationClass"
    return _first(folder, name, _MASK_SUFFIXES) or folder / f"{name}.png"


def stored_ids(root: Path) -> set[str]:
    """Returns the ids of all images, including those in folders below ``JPEGImages``."""
    top = root / "JPEGImages"
    return {
        (Path(folder) / name).relative_to(top).with_suffix("").as_posix()
        for folder, _, names in os.walk(top)
        for name in names
        if not is_hidden_copy(name) and not name.startswith(".")
    }


def _id_of(root: Path, line: str) -> str:
    """Returns the id in a line: the first reading for which there is an image; else the first word."""
    first = line.split()[0]
    if line == first and "/" not in line and not line.lower().endswith(IMAGE_SUFFIXES):
        return line
    quoted = line.split('"')[1] if line.startswith('"') and line.count('"') > 1 else ""
    for reading in filter(None, (quoted, line, first)):
        for name in _without_folder(reading):
            for each in (name, _without_suffix(name)):
                if len(each) <= _MOST_ID and find_image(root, each) is not None:
                    return each
    return _without_suffix(_without_folder(quoted or first)[0])


def _without_folder(name: str) -> list[str]:
    """Returns a name without the folders up to JPEGImages, and the name unchanged."""
    _, found, rest = name.rpartition("JPEGImages/")
    return [rest, name.lstrip("/")] if found else [name.lstrip("/")]


def _without_suffix(name: str) -> str:
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in IMAGE_SUFFIXES else name


def _first(folder: Path, name: str, suffixes: tuple[str, ...]) -> Path | None:
    return next((path for suffix in suffixes if os.path.exists(path := folder / f"{name}{suffix}")), None)
