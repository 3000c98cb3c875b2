"""The labelled frames of a verification: a split of a data set, or the aerial world."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...core.errors import UsageError
from ...core.labels import LabelMap
from ...data.images import AerialImages, LabelledImages, VocImages, spread

DEFAULT_SOURCE = "aerial:7"

_MOST_FRAMES = 1_000_000


@dataclass(frozen=True)
class LabelledFrame:
    """One frame.

    Attributes:
        id: its name.
        frame_bgr: uint8 [H, W, 3].
        mask: uint8 [H, W], class ids of the *frames'* label map; 255 is void.
    """

    id: str
    frame_bgr: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]


class LabelledFrames(ABC):
    """Frames with their masks, read one at a time.

    Attributes:
        name: their source, for the report.
        labels: the classes of the masks.
        in_sequence: True if each frame follows the one before it in time.
        without_truth: why there are no labels; empty if there are.
    """

    name: str
    labels: LabelMap
    in_sequence: bool = False
    without_truth: str = ""

    @abstractmethod
    def __len__(self) -> int:
        """Returns the number of frames."""

    @abstractmethod
    def __iter__(self) -> Iterator[LabelledFrame]:
        """Reads them in order."""

    def truth_fits(self, labels: LabelMap) -> bool:
        """Returns True if the masks' class ids mean the same as those of a network with these classes."""
        return self.labels.names == labels.names


class ImageFrames(LabelledFrames):
    """Up to ``limit`` images of a set, evenly spaced.

    Args:
        images: the set.
        limit: the largest number; all if None.
    """

    def __init__(self, images: LabelledImages, limit: int | None = None) -> None:
        self._images = images
        self.labels, self.name = images.labels, images.name
        self._indices = spread(len(images), limit)

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[LabelledFrame]:
        for index in self._indices:
            sample = self._images.read(index)
            yield LabelledFrame(sample.id, sample.frame_bgr, sample.mask)


class VocFrames(ImageFrames):
    """Up to ``limit`` frames of a split in VOC layout, evenly spaced.

    Raises:
        DataError: the data set, the split or a pair is missing or malformed.
    """

    def __init__(self, root: Path, split: str, limit: int | None = None) -> None:
        super().__init__(VocImages(root, split), limit)


class AerialFrames(ImageFrames):
    """``count`` single views of the aerial world, each from another place and height.

    Args:
        seed: of the world.
        size_hw: size of the frames.
        count: the number of views.
    """

    def __init__(self, seed: int, size_hw: tuple[int, int], count: int) -> None:
        super().__init__(AerialImages(seed, size_hw, count))


def open_frames(
    data: Path | None, split: str, source: str | None, count: int | None, size_hw: tuple[int, int]
) -> LabelledFrames:
    """Opens the frames that the command line names: a data set if ``data`` is given, else the aerial world.

    Args:
        data: folder of a data set in VOC layout.
        split: its split.
        source: ``aerial:SEED``; None means ``aerial:7``.
        count: the largest number of frames; None means a whole split, or 50 views.
        size_hw: size of the aerial frames.

    Raises:
        UsageError: both are given, the source is not an aerial one, or the count is out of range.
        DataError: the data set is missing or malformed.
    """
    if count is not None and count < 1:
        raise UsageError(f"--frames is {count}; verification needs at least one frame")
    if count is not None and count > _MOST_FRAMES:
        raise UsageError(f"--frames is {count}; expected {_MOST_FRAMES} at most")
    if data is not None:
        if source is not None:
            raise UsageError("--data and --source are two ways to name the frames; give one of them")
        return VocFrames(data, split, count)
    kind, _, seed = (source or DEFAULT_SOURCE).partition(":")
    if kind != "aerial" or not seed.isdecimal():
        raise UsageError(
            f"--source {source} has no labels to verify on; "
            f"expected aerial:SEED, such as {DEFAULT_SOURCE}, or --data DIR"
        )
    return AerialFrames(int(seed), size_hw, 50 if count is None else count)


def class_note(frames: LabelledFrames, labels: LabelMap) -> str:
    """Returns the reason why the frames' masks are not used as truth; empty if they are used."""
    if frames.without_truth:
        return frames.without_truth
    if frames.truth_fits(labels):
        return ""
    return (
        f"the labels of {frames.name} ({len(frames.labels)} classes: {_some(frames.labels)}) are not the network's "
        f"({len(labels)}: {_some(labels)}), so there is no truth: the variants are compared with PyTorch alone"
    )


def _some(labels: LabelMap) -> str:
    return ", ".join(labels.names[:3]) + (" …" if len(labels) > 3 else "")
