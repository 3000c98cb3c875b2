"""The calibration set: labelled images, read one at a time; a part is held out for measuring."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError, UsageError
from ..core.labels import LabelMap
from ..data.images import AerialImages, LabelledImages, VocImages, spread
from ..data.voc import Sample

DEFAULT_IMAGES = 160
_HELD_OUT_EVERY = 2
"""Every second image is held out, so equal numbers of images give the ranges and judge the budget."""


@dataclass(frozen=True)
class Coverage:
    """The coverage of the classes by a calibration set.

    Attributes:
        images: the number of images, including held-out ones.
        class_shares: by class, its share of the labelled pixels; empty if the labels are not the network's.
    """

    images: int
    class_shares: dict[str, float]

    @property
    def never_seen(self) -> tuple[str, ...]:
        """The classes without a pixel."""
        return tuple(name for name, share in self.class_shares.items() if share == 0)


@dataclass(frozen=True)
class CalibrationSet:
    """Images in two disjoint parts: one for the ranges, one held out to judge the results.

    Attributes:
        images: all images.
        for_ranges, held_out: positions in ``images``.
        hashes: by used position, the SHA-256 of the image's pixels.
        coverage: how well the set covers the classes.
        has_truth: whether the masks are in the network's classes.
    """

    images: LabelledImages
    for_ranges: tuple[int, ...]
    held_out: tuple[int, ...]
    hashes: dict[int, str]
    coverage: Coverage
    has_truth: bool

    @property
    def sha256(self) -> str:
        """A digest of the images for the ranges, independent of their order."""
        return hashlib.sha256("".join(sorted(self.hashes[i] for i in self.for_ranges)).encode()).hexdigest()

    def read(self, indices: Sequence[int]) -> Iterator[Sample]:
        """Reads images one at a time."""
        return (self.images.read(index) for index in indices)


def image_sha256(frame_bgr: npt.NDArray[np.uint8]) -> str:
    """Returns a digest of an image's pixels: the same under another name or in another lossless file format."""
    digest = hashlib.sha256(repr(frame_bgr.shape).encode())
    digest.update(np.ascontiguousarray(frame_bgr).data)
    return digest.hexdigest()


def check_source(source: str) -> None:
    """Checks that ``--calibrate`` names an existing source, without making or reading an image.

    Raises:
        UsageError: the source is empty, or an aerial world without a number.
        DataError: the data set is missing or malformed.
    """
    kind, colon, seed = source.partition(":")
    if not source:
        raise UsageError("--calibrate is empty: expected a data set's folder, or aerial:SEED")
    if kind != "aerial" or not colon:
        VocImages(Path(source))
    elif not seed.isdecimal():
        raise UsageError(f"--calibrate {source}: expected aerial:SEED with a number, such as aerial:3")


def open_images(source: str, size_hw: tuple[int, int], count: int | None) -> LabelledImages:
    """Opens the source that ``--calibrate`` names.

    Args:
        source: folder of a data set in VOC layout, whose ``train`` split is used, or ``aerial:SEED``.
        size_hw: size of the aerial views.
        count: the number of aerial views; None for ``DEFAULT_IMAGES``.

    Raises:
        UsageError: an aerial world without a number.
        DataError: the data set is missing or malformed.
    """
    check_source(source)
    kind, colon, seed = source.partition(":")
    if kind == "aerial" and colon:
        return AerialImages(int(seed), size_hw, count or DEFAULT_IMAGES)
    return VocImages(Path(source))


def survey(
    images: LabelledImages,
    labels: LabelMap,
    count: int | None = None,
    on_image: Callable[[], None] = lambda: None,
) -> CalibrationSet:
    """Chooses, hashes and counts the images of a calibration set; each is read once.

    Args:
        images: the source.
        labels: the network's classes.
        count: images to use, evenly spaced; None for ``DEFAULT_IMAGES``, or all if there are fewer.
        on_image: called after each.

    Raises:
        UsageError: ``count`` is below 2: one for the ranges and one to judge.
        DataError: there are fewer than two different images, or one is malformed.
    """
    if count is not None and count < 2:
        raise UsageError(
            f"--calibration-images {count}: expected at least 2, one for the ranges and one held out"
        )
    chosen = spread(len(images), count or DEFAULT_IMAGES)
    has_truth = images.labels.names == labels.names
    pixels = np.zeros(256, np.int64)
    hashes: dict[int, str] = {}
    known: set[str] = set()
    for index in chosen:
        sample = images.read(index)
        digest = image_sha256(sample.frame_bgr)
        if digest not in known:  # a duplicate could be in both parts
            known.add(digest)
            hashes[index] = digest
            pixels += np.bincount(sample.mask.ravel(), minlength=256)
        on_image()
    if len(hashes) < 2:
        raise DataError(f"{images.name} has {len(hashes)} different images; calibration needs at least 2")
    shares = pixels[: len(labels)] / max(1, pixels[: len(labels)].sum())
    coverage = Coverage(
        images=len(hashes),
        class_shares=dict(zip(labels.names, shares.tolist(), strict=True)) if has_truth else {},
    )
    used = tuple(hashes)
    held_out = used[1::_HELD_OUT_EVERY]
    for_ranges = tuple(index for index in used if index not in set(held_out))
    return CalibrationSet(images, for_ranges, held_out, hashes, coverage, has_truth)
