"""The check of a data set before a long training: ``edgeseg data check``."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..core.errors import DataError
from ..core.images.reader import orientation
from ..core.labels import VOID, LabelMap
from .class_lists import read_labels
from .colours import Rgb, UnknownColoursError, lines_for
from .coverage import why_nothing_can_be_learnt
from .lists import image_path, mask_path, read_split, split_names, stored_ids
from .masks import read_frame, read_mask
from .voc import find_root, why_turned

_WHOLE = ("trainval", "default", "all")
"""Lists that repeat the ids of other lists."""


@dataclass
class SplitReport:
    """The content of one split.

    Attributes:
        images: the number of its ids.
        sizes: the number of images of each (width, height).
        pixels: labelled pixels of each class id, and of 255.
        images_with: the number of images with each class id.
    """

    images: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    pixels: Counter[int] = field(default_factory=Counter)
    images_with: Counter[int] = field(default_factory=Counter)


@dataclass
class DatasetReport:
    """The results of a check.

    Attributes:
        root: the folder that holds ``JPEGImages``.
        labels: the label map.
        splits: by name.
        problems: errors that must be corrected, one line each.
        notes: possible errors, one line each.
        unknown: pixels of each colour that no class has, over all masks without JPEG noise.
    """

    root: Path
    labels: LabelMap
    splits: dict[str, SplitReport] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unknown: Counter[Rgb] = field(default_factory=Counter)

    def lines_to_add(self) -> list[str]:
        """Returns the lines that ``labelmap.txt`` lacks, those with most pixels first; the user replaces the names."""
        return lines_for(self.unknown)


def check_dataset(root: Path) -> DatasetReport:
    """Reads every pair of every split, and reports missing, malformed, uncovered and leaking data.

    Raises:
        DataError: the folder is not in VOC layout, or has no images.
    """
    root = find_root(root)
    report = DatasetReport(root, read_labels(root))
    if not (root / "labelmap.txt").exists():
        report.notes.append(
            f"no labelmap.txt: the classes are PASCAL VOC's, as the folder's name {root.name} says"
        )
    names = split_names(root)
    digests: dict[str, dict[str, str]] = {}
    for split in names:
        try:
            ids = read_split(root, split)
        except DataError as error:
            report.problems.append(str(error))
            continue
        repeated = [name for name, count in Counter(ids).items() if count > 1]
        if repeated:
            report.problems.append(f"{split}: {len(repeated)} ids come twice, such as {repeated[0]}")
        report.splits[split] = SplitReport(images=len(ids))
        digests[split] = _read_pairs(report, split, ids)
    if not names:
        _check_unlisted(report)
    _find_leaks(report, digests)
    _find_unlisted(report)
    _find_uncovered(report)
    return report


def _check_unlisted(report: DatasetReport) -> None:
    """Reads a set without lists as one split of all its images."""
    ids = sorted(stored_ids(report.root))
    if not ids:
        raise DataError(f"{report.root} has no image in JPEGImages")
    report.problems.append(
        f"there is no list in ImageSets/Segmentation: `edgeseg data split {report.root}` writes train and val"
    )
    report.splits["all"] = SplitReport(images=len(ids))
    _read_pairs(report, "all", ids)


def _read_pairs(report: DatasetReport, split: str, ids: list[str]) -> dict[str, str]:
    """Fills in one split; returns the id of each image by the digest of its pixels."""
    found: dict[str, str] = {}
    summary = report.splits[split]
    turned: list[str] = []
    for name in ids:
        try:
            path = image_path(report.root, name)
            frame_bgr = read_frame(path)
            turned += [name] * (orientation(path) != 1)
            mask = read_mask(mask_path(report.root, name), report.labels)
        except DataError as error:
            if isinstance(error, UnknownColoursError) and not error.lossy:
                report.unknown.update(error.unknown)
            report.problems.append(f"{split}: {error}")
            continue
        found[hashlib.sha256(frame_bgr.tobytes()).hexdigest()] = name
        if mask.shape != frame_bgr.shape[:2]:
            report.problems.append(
                f"{split}: {name} has a mask of {mask.shape[1]} x {mask.shape[0]} "
                f"and an image of {frame_bgr.shape[1]} x {frame_bgr.shape[0]}"
                + why_turned(path, mask.shape, frame_bgr.shape)
            )
            continue
        summary.sizes[frame_bgr.shape[1], frame_bgr.shape[0]] += 1
        counts = np.bincount(mask.ravel(), minlength=256)
        for class_id in np.flatnonzero(counts).tolist():
            summary.pixels[class_id] += int(counts[class_id])
            summary.images_with[class_id] += 1
    if turned:
        report.notes.append(
            f"{split}: {len(turned)} images are turned upright by their EXIF orientation, such as {turned[0]};"
            " masks are taken as they are, so see that they were drawn on the upright image"
        )
    return found


def _find_leaks(report: DatasetReport, digests: dict[str, dict[str, str]]) -> None:
    """Finds images that are in two splits, by their pixels and not by name. Some lists are made of others."""
    names = [name for name in digests if name.lower() not in _WHOLE]
    for position, first in enumerate(names):
        for second in names[position + 1 :]:
            shared = digests[first].keys() & digests[second].keys()
            if shared:
                one = min(shared)
                report.problems.append(
                    f"{len(shared)} images are in both {first} and {second}, such as "
                    f"{digests[first][one]} = {digests[second][one]}: figures on {second} would be too good"
                )


def _find_unlisted(report: DatasetReport) -> None:
    listed: set[str] = set()
    for split in report.splits:
        if split in split_names(report.root):
            listed.update(read_split(report.root, split))
    rest = stored_ids(report.root) - listed if listed else set()
    if rest:
        report.notes.append(f"{len(rest)} images are in no split, such as {min(rest)}")


def _find_uncovered(report: DatasetReport) -> None:
    for split, summary in report.splits.items():
        missing = [name for index, name in enumerate(report.labels.names) if not summary.pixels[index]]
        if missing:
            report.notes.append(f"{split}: no pixel of {', '.join(missing)}")
        labelled = sum(summary.pixels.values()) - summary.pixels[VOID]
        if summary.images and not labelled:
            report.problems.append(f"{split}: every pixel is void")
    pixels = [sum(summary.pixels[index] for summary in report.splits.values()) for index in range(256)]
    reason = why_nothing_can_be_learnt(report.labels, pixels)
    if reason and any(pixels):
        report.problems.append(f"nothing can be learnt from this set: {reason}")
