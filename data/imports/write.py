"""The writing of an imported data set in VOC layout."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ...core.errors import DataError
from ...core.images import jpeg, reader
from ...core.labels import VOID, LabelMap
from ...core.palette_png import encode
from ..colours import Rgb, UnknownColoursError, lines_for
from ..groups import GroupOf, choose_val
from ..lists import IMAGE_SUFFIXES
from .base import Found, Item, Mask
from .target import TargetClasses

_MOST_ID = 150
"""In bytes. Lists and file systems allow more, but the name of a split may come before it."""
_TURNS: dict[int, Callable[[Mask], Mask]] = {
    5: lambda mask: mask.T,
    6: lambda mask: np.rot90(mask, -1),
    7: lambda mask: np.rot90(mask, 2).T,
    8: lambda mask: np.rot90(mask, 1),
}
"""The EXIF orientations that exchange the sides of an image, and their transformations."""

_SPLIT_NAME = re.compile(r"[^\w.-]+")
_DEFAULT_SHARE = 0.2
_MOST_LINES = 32


@dataclass(frozen=True)
class Splitting:
    """The division of images into splits.

    Attributes:
        share: of images for val; None keeps the source's lists, with 0.2 if the source has no val.
        group_of: keeps groups together.
        seed: of the draw among groups.
    """

    share: float | None = None
    group_of: GroupOf | None = None
    seed: int = 0


@dataclass
class Imported:
    """The written data set.

    Attributes:
        labels: the classes.
        splits: ids in each list.
        pixels: of each class id, and of 255.
        left_out: names of files that were left out, by the reason.
        notes: the assumptions, one line each.
    """

    labels: LabelMap
    splits: dict[str, list[str]] = field(default_factory=dict)
    pixels: Counter[int] = field(default_factory=Counter)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def write_items(
    building: Path,
    found: Found,
    target: TargetClasses,
    splitting: Splitting,
    progress: Callable[[int, int], None],
) -> Imported:
    """Writes all images, masks, lists and the label map.

    Args:
        building: the folder with the folders of VOC layout.
        found: the source.
        target: the classes to write.
        splitting: the division into splits.
        progress: called after each image with the number of finished images and of all images.

    Raises:
        DataError: no image could be used.
        OSError: the disk failed.
    """
    result = Imported(target.labels, left_out=found.left_out)
    palette = target.labels.palette_rgb()
    taken: dict[str, str] = {}
    turned = 0
    unknown: Counter[Rgb] = Counter()
    for done, item in enumerate(found.items, start=1):
        try:
            data, suffix, mask, was_turned = _read(item)
        except UnknownColoursError as error:
            unknown.update(error.unknown)
            found.leave_out("a mask with colours that no class has", item.id)
        except DataError as error:
            found.leave_out(str(error), item.id)
        else:
            turned += was_turned
            ids = target.table[mask]
            name = _free_name(item, taken)
            taken[name] = item.split
            image = building / "JPEGImages" / f"{name}{suffix}"
            written = building / "SegmentationClass" / f"{name}.png"
            for path in (image, written):
                path.parent.mkdir(parents=True, exist_ok=True)
            image.write_bytes(data)
            written.write_bytes(encode(np.ascontiguousarray(ids), palette))
            counts = np.bincount(ids.ravel(), minlength=256)
            result.pixels.update({i: int(counts[i]) for i in np.flatnonzero(counts).tolist()})
        progress(done, len(found.items))
    result.notes += [*found.notes, *target.notes]  # some notes exist only after the masks are read
    if unknown:
        result.notes.append(f"lines that the label map lacks: {' '.join(lines_for(unknown)[:_MOST_LINES])}")
    if not taken:
        reason = next(iter(found.left_out), "it holds none")
        lacking = (
            f"; lines that the label map lacks: {' '.join(lines_for(unknown)[:_MOST_LINES])}"
            if unknown
            else ""
        )
        raise DataError(f"no image could be taken: {reason}{lacking}")
    if turned:
        result.notes.append(f"{turned} masks were turned as EXIF turns their images")
    result.splits = _share_out(taken, splitting, result.notes)
    for split, names in result.splits.items():
        path = building / "ImageSets" / "Segmentation" / f"{split}.txt"
        path.write_text("\n".join(sorted(names)) + "\n", encoding="utf-8")
    target.labels.write(building / "labelmap.txt")
    return result


def _read(item: Item) -> tuple[bytes, str, Mask, bool]:
    """Returns the image's bytes and suffix for writing, its mask, and whether the mask was turned."""
    name = "the image in the annotations"
    if isinstance(item.image, Path):
        data, suffix, name = (
            reader.read_bytes(item.image),
            item.image.suffix,
            f"the image {item.image}",
        )
    else:
        data, suffix = item.image, ".jpg" if item.image.startswith(jpeg.START) else ".png"
    frame_bgr = reader.decode(data, name, cv2.IMREAD_COLOR)
    if suffix.lower() not in IMAGE_SUFFIXES:
        data, suffix = cv2.imencode(".png", frame_bgr)[1].tobytes(), ".png"
    size_hw = (frame_bgr.shape[0], frame_bgr.shape[1])
    mask = item.mask(size_hw)
    if mask.shape == size_hw:
        return data, suffix, mask, False
    head = jpeg.read_head(data)
    turn = _TURNS.get(1 if head is None else head.orientation)
    if turn is not None and mask.shape == size_hw[::-1]:
        return data, suffix, turn(mask), True
    raise DataError("mask and image differ in size")


def _free_name(item: Item, taken: dict[str, str]) -> str:
    """Returns a valid id for a list that no other image has."""
    name = "/".join(_SPLIT_NAME.sub("_", part).lstrip(".") or "_" for part in item.id.split("/") if part)
    written = name.encode("utf-8", "replace")
    if len(written) > _MOST_ID:
        short = written[: _MOST_ID - 9].decode("utf-8", "ignore").rstrip("/")
        name = f"{short}-{hashlib.sha256(written).hexdigest()[:8]}"
    if name in taken and item.split:
        name = f"{item.split}/{name}"
    free, number = name, 2
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free


def _share_out(taken: dict[str, str], splitting: Splitting, notes: list[str]) -> dict[str, list[str]]:
    """Returns the ids of each list."""
    splits: dict[str, list[str]] = {}
    for name, split in taken.items():
        splits.setdefault(_SPLIT_NAME.sub("_", split).strip(".") or "train", []).append(name)
    if splitting.share is None and "val" in splits:
        if splitting.group_of is not None:
            notes.append("--group is not used: the set has a val of its own; give --val 0.2 to split it anew")
        return splits
    share = _DEFAULT_SHARE if splitting.share is None else splitting.share
    kept = {split: names for split, names in splits.items() if split == "test"}
    rest = [name for split, names in splits.items() if split != "test" for name in names]
    if splitting.share is None:
        if len(rest) < 2:
            return splits
        how = "groups drawn at random" if splitting.group_of else "the last ones by name"
        notes.append(
            f"the set has no val: {share:.0%} of the images are it, {how}; --val and --group say otherwise"
        )
    val = choose_val(rest, share, splitting.group_of, splitting.seed)
    return {"train": [name for name in rest if name not in val], "val": sorted(val), **kept}


def shares(result: Imported) -> list[tuple[str, float]]:
    """Returns each class's share of all pixels, then that of void if there is any."""
    total = max(1, sum(result.pixels.values()))
    rows = [(name, result.pixels[at] / total) for at, name in enumerate(result.labels.names)]
    return [*rows, ("void", result.pixels[VOID] / total)] if result.pixels[VOID] else rows
