"""The coverage of a split: the pixels of each class, and the limits for training and measuring."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..core.counting import class_counts
from ..core.labels import VOID, LabelMap
from .threads import in_threads
from .voc import VocDataset


@dataclass(frozen=True)
class SplitCoverage:
    """The content of a split.

    Attributes:
        pixels: int64 [256], pixels of each class id, and of 255.
        by_image: int64 [N, C], pixels of each class in each image.
        sizes_hw: height and width of each image.
        digest: of the images' ids and of their classes' pixels; it differs between splits.
    """

    pixels: npt.NDArray[np.int64]
    by_image: npt.NDArray[np.int64]
    sizes_hw: Sequence[tuple[int, int]]
    digest: str

    @property
    def smallest_hw(self) -> tuple[int, int]:
        """Returns the height and width of the image with the fewest pixels."""
        return min(self.sizes_hw, key=lambda size: size[0] * size[1])

    @property
    def frequency(self) -> npt.NDArray[np.float64]:
        """Returns each id's share of the labelled pixels, float64 [255]."""
        labelled = self.pixels[:VOID]
        return labelled / max(1, int(labelled.sum()))


def read_coverage(dataset: VocDataset) -> SplitCoverage:
    """Reads every pair of a split, in threads, so that a missing or malformed one is found early.

    Raises:
        DataError: a pair is missing or malformed, or differs in size.
    """

    def count(index: int) -> tuple[tuple[int, int], npt.NDArray[np.int64]]:
        mask = dataset.read(index).mask
        return (mask.shape[0], mask.shape[1]), class_counts(mask)

    pixels = np.zeros(256, np.int64)
    by_image = np.zeros((len(dataset), len(dataset.labels)), np.int64)
    sizes_hw = []
    digest = hashlib.sha256()
    counted = in_threads(count, range(len(dataset)))
    for index, (name, (size_hw, counts)) in enumerate(zip(dataset.ids, counted, strict=True)):
        digest.update(f"{name}\n".encode("utf-8", "surrogateescape") + counts.tobytes())
        pixels += counts
        by_image[index] = counts[: len(dataset.labels)]
        sizes_hw.append(size_hw)
    return SplitCoverage(pixels, by_image, sizes_hw, digest.hexdigest())


def why_nothing_can_be_learnt(labels: LabelMap, pixels: Sequence[int] | npt.NDArray[np.int64]) -> str:
    """Returns the reason why a network cannot learn from a split: learning needs two classes.

    Args:
        labels: the classes.
        pixels: of each class id and of 255, [256].

    Returns:
        The problem and the remedy, in one line; empty if there is none.
    """
    if len(labels) == 1:
        return (
            f"the label map has one class alone, {labels.names[0]}, and a network tells classes apart; "
            "add a line for what surrounds it, such as background:0,0,0::, as the first"
        )
    present = [index for index in range(len(labels)) if pixels[index]]
    if not present:
        return "every pixel is void (255); label some, or see that the masks are the right ones"
    if len(present) > 1:
        return ""
    name = labels.names[present[0]]
    if present == [0] and pixels[VOID]:
        return (
            f"the masks hold only 0 ({name}) and 255, which is void: where 255 marks an object, write its id, 1, "
            "instead; where it marks what nobody labelled, label pixels of a second class"
        )
    return f"the masks show one class alone, {name}; label pixels of a second one"
