"""Pairs of images and masks from separate folders, matched by their folders and names."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from ..lists import usual_name

_IMAGES = (
    "images", "image", "imgs", "img", "jpegimages", "frames", "pictures", "photos", "original", "original_images",
    "rgb", "701_stillsraw_full", "input", "inputs",
)  # fmt: skip
_MASKS = (
    "masks", "mask", "labels", "label", "annotations", "annotation", "annots", "annot", "gt", "groundtruth",
    "ground_truth", "segmentation", "segmentations", "segmentationclass", "seg", "1st_manual", "manual", "targets",
    "target", "labeledapproved_full", "label_images", "label_images_semantic", "mask_images",
)  # fmt: skip
_IMAGE_END = re.compile(r"[_-](images?|imgs?)$")
_MASK_END = re.compile(r"([_-](labels?|masks?|annots?|annotations?|gt|groundtruth|seg)|annot)$")
_MASK_STEM = re.compile(r"[_\-. ](masks?|labels?|gt|seg|segmentation|groundtruth|annot|l)$")
_AFFIXES = frozenset((
    "mask", "masks", "label", "labels", "seg", "segmentation", "gt", "groundtruth", "manual1", "manual", "training",
    "test", "image", "img", "l", "color", "rgb", "annotation", "annot", "sat", "original",
))  # fmt: skip
_LEFT_WITH_MANUAL = ("mask", "masks", "2nd_manual")
"""In DRIVE: the field of view, and a second annotator's masks."""


@dataclass(frozen=True)
class Pair:
    """One image with its mask, both as paths below the set's folder."""

    id: str
    split: str
    image: PurePosixPath
    mask: PurePosixPath


@dataclass(frozen=True)
class Paired:
    """The pairs, and the files without a partner, by the reason."""

    pairs: list[Pair]
    left_out: dict[str, list[str]]


def pair_up(files: Iterable[PurePosixPath]) -> Paired:
    """Pairs images and masks: the same folders apart from words such as ``images`` and ``masks``, and the same name
    apart from endings such as ``_mask``.

    Args:
        files: those that may be images or masks.
    """
    files = list(files)
    manual = any("1st_manual" in path.parts for path in files)
    images: dict[tuple[str, ...], list[PurePosixPath]] = {}
    masks: dict[tuple[str, ...], list[PurePosixPath]] = {}
    for path in files:
        if manual and path.parent.name.lower() in _LEFT_WITH_MANUAL:
            continue
        is_mask, folders = _kind(path)
        (masks if is_mask else images).setdefault(folders, []).append(path)
    pairs: list[Pair] = []
    left: dict[str, list[str]] = {}
    for folders, its_masks in masks.items():
        its_images = images.pop(folders, [])
        joined, lonely = join(its_images, its_masks)
        for image, mask in joined:
            split = next(
                (usual_name(each) for each in folders if usual_name(each) in ("train", "val", "test")), ""
            )
            kept = [each for each in folders if usual_name(each) != split or not split]
            pairs.append(Pair("/".join([*kept, image.stem]), split, image, mask))
        for path in lonely:
            reason = "a mask without an image" if path in set(its_masks) else "an image without a mask"
            left.setdefault(reason, []).append(str(path))
    if pairs:
        for rest in images.values():
            left.setdefault("an image without a mask", []).extend(map(str, rest))
    return Paired(sorted(pairs, key=lambda pair: (pair.split, pair.id)), left)


def _kind(path: PurePosixPath) -> tuple[bool, tuple[str, ...]]:
    """Returns True for a mask, and the file's folders without the words that show its kind."""
    is_mask, decided, kept = False, False, []
    for part in path.parts[:-1]:
        low = part.lower()
        if low in _MASKS or low in _IMAGES:
            is_mask, decided = low in _MASKS, True
            continue
        mask_end, image_end = _MASK_END.search(low), _IMAGE_END.search(low)
        end = mask_end or image_end
        if end and end.start():
            is_mask, decided = mask_end is not None, True
            part = part[: end.start()]
        kept.append(part)
    if not decided:
        is_mask = _MASK_STEM.search(path.stem.lower()) is not None
    return is_mask, tuple(kept)


def join(
    images: list[PurePosixPath], masks: list[PurePosixPath]
) -> tuple[list[tuple[PurePosixPath, PurePosixPath]], list[PurePosixPath]]:
    """Pairs two lists only by name; also returns the files without a partner, or with several."""
    joined: list[tuple[PurePosixPath, PurePosixPath]] = []
    for key in (_plain, _reduced):
        by_key: dict[tuple[str, ...], list[PurePosixPath]] = {}
        for mask in masks:
            by_key.setdefault(key(mask), []).append(mask)
        keys = [key(image) for image in images]
        times = Counter(keys)
        done: set[PurePosixPath] = set()
        for image, its_key in zip(images, keys, strict=True):
            partners = by_key.get(its_key, [])
            if len(partners) == 1 and times[its_key] == 1:
                joined.append((image, partners[0]))
                done |= {image, partners[0]}
        images = [each for each in images if each not in done]
        masks = [each for each in masks if each not in done]
    return joined, [*images, *masks]


def _plain(path: PurePosixPath) -> tuple[str, ...]:
    return (os.path.splitext(path.name)[0],)


def _reduced(path: PurePosixPath) -> tuple[str, ...]:
    """Returns the words of a name without those that show the kind of file."""
    words = tuple(word for word in re.split(r"[_\-. ]+", path.stem.lower()) if word and word not in _AFFIXES)
    return tuple(word.lstrip("0") or "0" if word.isdigit() else word for word in words)
