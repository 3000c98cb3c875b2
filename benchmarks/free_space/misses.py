"""Counts what a network misses of the classes that matter to a vehicle: of their pixels, and of whole objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import ClassMap
from ...core.labels import VOID

SIZES_PX = (25, 100, 400, 1600)
"""Where the sizes of objects are divided, in pixels: an object of 100 pixels is 10 pixels wide and high."""


@dataclass
class Objects:
    """The objects of one class and one size: connected parts of the truth.

    Attributes:
        count: number of them.
        missed: no pixel has the class.
        driven_over: every pixel is said to be drivable.
    """

    count: int = 0
    missed: int = 0
    driven_over: int = 0


@dataclass
class Misses:
    """The misses of one class.

    Attributes:
        pixels: number of its pixels in the truth.
        missed: number of those that got another class.
        drivable: number of those that are said to be drivable.
        by_size: its objects, by the index of their size among ``SIZES_PX``: the first are smaller than the first of
            these, the last are at least as large as the last.
    """

    pixels: int = 0
    missed: int = 0
    drivable: int = 0
    by_size: list[Objects] = field(default_factory=lambda: [Objects() for _ in range(len(SIZES_PX) + 1)])

    def add(self, mask: ClassMap, seen: ClassMap, class_id: int, drivable: npt.NDArray[np.bool_]) -> None:
        """Adds a frame.

        Args:
            mask: uint8 [H, W], the truth.
            seen: uint8 [H, W], what the network says.
            class_id: of this class.
            drivable: bool [256], by class id.
        """
        true = mask == class_id
        found, free = true & (seen == class_id), true & drivable[seen]
        self.pixels += int(true.sum())
        self.missed += int((true & ~found).sum())
        self.drivable += int(free.sum())
        count, parts = cv2.connectedComponents(true.view(np.uint8), connectivity=8)
        sizes, hits, frees = (np.bincount(parts[where], minlength=count)[1:] for where in (true, found, free))
        for size, hit, over in zip(sizes.tolist(), hits.tolist(), frees.tolist(), strict=True):
            objects = self.by_size[int(np.searchsorted(SIZES_PX, size, side="right"))]
            objects.count += 1
            objects.missed += hit == 0
            objects.driven_over += over == size


def drivable_table(names: tuple[str, ...], drivable: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Returns bool [256]: which class ids are drivable. Void is not."""
    table = np.zeros(256, bool)
    table[: len(names)] = [name in drivable for name in names]
    table[VOID] = False
    return table


def size_names() -> list[str]:
    """Returns the sizes of objects as text, in order."""
    middle = [f"{low} to {high - 1}" for low, high in pairwise(SIZES_PX)]
    return [f"below {SIZES_PX[0]}", *middle, f"{SIZES_PX[-1]} and more"]
