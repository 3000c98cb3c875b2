"""The coverage of a split: the pixels of each class, and the limits for training and measuring."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..core.labels import VOID, LabelMap
from .voc import VocDataset


@dataclass(frozen=True)
class Coverage:
    """The content of a split.

    Attributes:
        pixels: int64 [256], pixels of each class id, and of 255.
        smallest_hw: height and width of the image with the fewest pixels.
        digest: of the images' ids and of their classes' pixels; it differs between splits.
    """

    pixels: npt.NDArray[np.int64]
    smallest_hw: tuple[int, int]
    digest: str

    @property
    def frequency(self) -> npt.NDArray[np.float64]:
        """Returns each id's share of the labelled pixels, float64 [255]."""
        labelled = self.pixels[:VOID]
        return labelled / max(1, int(labelled.sum()))


def read_coverage(dataset: VocDataset) -> Coverage:
    """Reads every pair of a split, so that a missing or malformed one is found early.

    Raises:
        DataError: a pair is missing or malformed, or differs in size.
    """
    pixels = np.zeros(256, np.int64)
    sizes: Counter[tuple[int, int]] = Counter()
    digest = hashlib.sha256()
    for index, name in enumerate(dataset.ids):
        mask = dataset.read(index).mask
        counts = np.bincount(mask.ravel(), minlength=256)
        digest.update(f"{name}\n".encode("utf-8", "surrogateescape") + counts.tobytes())
        pixels += counts
        sizes[mask.shape[0], mask.shape[1]] += 1
    smallest = min(sizes, key=lambda size: size[0] * size[1])
    return Coverage(pixels, smallest, digest.hexdigest())


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
