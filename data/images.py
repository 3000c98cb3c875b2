"""Labelled images by position: a split of a data set, or views of the aerial world."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from ..core.labels import LabelMap
from .voc import Sample, VocDataset


class LabelledImages(ABC):
    """Labelled images by position, made or read on request.

    Attributes:
        name: their source, for display.
        labels: the classes of the masks.
    """

    name: str
    labels: LabelMap

    @abstractmethod
    def __len__(self) -> int:
        """Returns the number of images."""

    @abstractmethod
    def read(self, index: int) -> Sample:
        """Returns one image with its mask.

        Raises:
            DataError: a file is missing or malformed.
        """


class VocImages(LabelledImages):
    """A split of a data set in VOC layout.

    Raises:
        DataError: the data set or the split is missing or malformed.
    """

    def __init__(self, root: Path, split: str = "train") -> None:
        self._dataset = VocDataset(root, split)
        self.labels = self._dataset.labels
        self.name = f"{self._dataset.root.name}, split {split}"

    def __len__(self) -> int:
        return len(self._dataset)

    def read(self, index: int) -> Sample:
        return self._dataset.read(index)


class AerialImages(LabelledImages):
    """Single views of the aerial world, each from another place and height.

    Args:
        seed: of the world.
        size_hw: of the images.
        count: the number of views.
    """

    def __init__(self, seed: int, size_hw: tuple[int, int], count: int) -> None:
        from .aerial import AERIAL_LABELS, AerialFlight

        self._flight = AerialFlight(seed, size_hw)
        self._count = count
        self.labels = AERIAL_LABELS
        self.name = f"aerial:{seed}"

    def __len__(self) -> int:
        return self._count

    def read(self, index: int) -> Sample:
        frame_bgr, mask = self._flight.still(index)
        return Sample(f"view-{index:04d}", frame_bgr, mask)


def spread(available: int, limit: int | None) -> list[int]:
    """Returns up to ``limit`` evenly spaced positions of the available ones; all if None.

    Neighbours in a list are often neighbours in a video, and so nearly the same.
    """
    wanted = available if limit is None else min(limit, available)
    return [position * available // wanted for position in range(wanted)]
