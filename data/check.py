"""Looking a data set over before hours go into it: ``edgeseg data check``."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..runtime.errors import DataError
from ..runtime.files import is_hidden_copy
from ..runtime.labels import VOID, LabelMap
from ..runtime.pictures.reader import orientation
from .coverage import why_nothing_can_be_learnt
from .masks import read_frame, read_mask
from .voc import find_root, picture_path, read_labels, read_split, split_names


@dataclass
class SplitReport:
    """What one split holds.

    Attributes:
        pictures: how many ids it names.
        sizes: how many pictures there are of each (width, height).
        pixels: labelled pixels of each class id, and of 255.
        pictures_with: in how many pictures each class id appears.
    """

    pictures: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    pixels: Counter[int] = field(default_factory=Counter)
    pictures_with: Counter[int] = field(default_factory=Counter)


@dataclass
class DatasetReport:
    """What a check found.

    Attributes:
        root: the folder that holds ``JPEGImages``.
        labels: the label map.
        splits: by name.
        problems: what must be mended, a line each.
        notes: what may be meant but deserves a look, a line each.
    """

    root: Path
    labels: LabelMap
    splits: dict[str, SplitReport] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_dataset(root: Path) -> DatasetReport:
    """Reads every pair of every split, and reports what is missing, malformed, uncovered or leaking.

    Raises:
        DataError: the folder is not in VOC layout at all, or has no split.
    """
    root = find_root(root)
    report = DatasetReport(root, read_labels(root))
    names = split_names(root)
    if not names:
        raise DataError(f"{root} has no split: expected lists of ids in ImageSets/Segmentation/*.txt")
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
        report.splits[split] = SplitReport(pictures=len(ids))
        digests[split] = _read_pairs(report, split, ids)
    _find_leaks(report, digests)
    _find_unlisted(report)
    _find_uncovered(report)
    return report


def _read_pairs(report: DatasetReport, split: str, ids: list[str]) -> dict[str, str]:
    """Fills in one split; returns the id of each picture by the digest of its pixels."""
    found: dict[str, str] = {}
    summary = report.splits[split]
    turned: list[str] = []
    for name in ids:
        try:
            path = picture_path(report.root, name)
            frame_bgr = read_frame(path)
            turned += [name] * (orientation(path) != 1)
            mask = read_mask(report.root / "SegmentationClass" / f"{name}.png", report.labels)
        except DataError as error:
            report.problems.append(f"{split}: {error}")
            continue
        found[hashlib.sha256(frame_bgr.tobytes()).hexdigest()] = name
        if mask.shape != frame_bgr.shape[:2]:
            report.problems.append(
                f"{split}: {name} has a mask of {mask.shape[1]} x {mask.shape[0]} "
                f"and a picture of {frame_bgr.shape[1]} x {frame_bgr.shape[0]}"
            )
            continue
        summary.sizes[frame_bgr.shape[1], frame_bgr.shape[0]] += 1
        counts = np.bincount(mask.ravel(), minlength=256)
        for class_id in np.flatnonzero(counts).tolist():
            summary.pixels[class_id] += int(counts[class_id])
            summary.pictures_with[class_id] += 1
    if turned:
        report.notes.append(
            f"{split}: {len(turned)} pictures are turned upright by their EXIF orientation, such as {turned[0]};"
            " masks are taken as they are, so see that they were drawn on the upright picture"
        )
    return found


def _find_leaks(report: DatasetReport, digests: dict[str, dict[str, str]]) -> None:
    """The same picture in two splits, by its pixels, whatever it is called. ``trainval`` is made of both."""
    names = [name for name in digests if name != "trainval"]
    for position, first in enumerate(names):
        for second in names[position + 1 :]:
            shared = digests[first].keys() & digests[second].keys()
            if shared:
                one = min(shared)
                report.problems.append(
                    f"{len(shared)} pictures are in both {first} and {second}, such as "
                    f"{digests[first][one]} = {digests[second][one]}: figures on {second} would be too good"
                )


def _find_unlisted(report: DatasetReport) -> None:
    listed = {name for split in report.splits for name in read_split(report.root, split)}
    files = (path for path in (report.root / "JPEGImages").iterdir() if path.is_file())
    stored = {path.stem for path in files if not is_hidden_copy(path.name)}
    if stored - listed:
        report.notes.append(
            f"{len(stored - listed)} pictures are in no split, such as {min(stored - listed)}"
        )


def _find_uncovered(report: DatasetReport) -> None:
    for split, summary in report.splits.items():
        missing = [name for index, name in enumerate(report.labels.names) if not summary.pixels[index]]
        if missing:
            report.notes.append(f"{split}: no pixel of {', '.join(missing)}")
        labelled = sum(summary.pixels.values()) - summary.pixels[VOID]
        if summary.pictures and not labelled:
            report.problems.append(f"{split}: every pixel is void")
    pixels = [sum(summary.pixels[index] for summary in report.splits.values()) for index in range(256)]
    reason = why_nothing_can_be_learnt(report.labels, pixels)
    if reason and any(pixels):
        report.problems.append(f"nothing can be learnt from this set: {reason}")
